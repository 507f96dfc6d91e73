"""What a parameter means, and what it may not be. Pure; errors only.

Every reader takes what a client sent (types already checked: text, a whole
number, a list or an object) and gives back what a spec stores, or raises
:exc:`~cyme_supd.errors.Invalid` naming the parameter. Absent parameters stay
as they are; ``None`` and empty ones go back to the default.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from cyme_supd.domain.broker import Broker, check_broker, default_port, parse_broker
from cyme_supd.domain.naming import (
    DIRECT_PREFIX,
    ENVIRONMENT_NAME,
    check_queue_name,
    is_control,
    nearest,
)
from cyme_supd.domain.spec import AUTOSCALED_POOLS, POOLS
from cyme_supd.domain.values import (
    MAX_TOTAL,
    MAX_WHOLE,
    load_json,
    parsed,
    refuse_unstorable,
    shown,
    split,
)
from cyme_supd.errors import Invalid

MAX_CONCURRENCY = 1000
MAX_STOP_TIMEOUT_S = 86400
MAX_WORDS = 256
MAX_WORD = 4096
MAX_KEYS = 256
MAX_QUEUES = 1000

BROKER_PARTS = ("hostname", "port", "userid", "password", "virtual_host", "transport")

_CELERY_APP = re.compile(
    r"[A-Za-z_]\w{0,127}(\.[A-Za-z_]\w{0,127}){0,31}:[A-Za-z_]\w{0,127}(\.[A-Za-z_]\w{0,127}){0,7}",
    re.ASCII,
)
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}\$?", re.ASCII)
_SETTING = re.compile(r"[a-z][a-z0-9_]{0,127}", re.ASCII)

_LIMITS = "max_concurrency and min_concurrency"
#: Flags of ``celery worker`` that Cyme sets, and the parameter to use instead.
LONG_FLAGS: Mapping[str, str] = {
    "--app": "celery_app",
    "--broker": "broker",
    "--result-backend": "result_backend",
    "--hostname": "the instance's name",
    "--queues": "queues",
    "--exclude-queues": "queues",
    "--concurrency": _LIMITS,
    "--pool": "pool",
    "--autoscale": _LIMITS,
    "--logfile": "GET .../log/, which shows where it goes",
    "--pidfile": "GET .../stats/, which shows the pid",
    "--detach": "none: the branch keeps the process",
    "--uid": "user",
    "--gid": "user",
    "--workdir": "directory",
    "--statedb": "none: revoked tasks are kept by the workers themselves",
}
SHORT_FLAGS: Mapping[str, str] = {
    "A": "--app",
    "b": "--broker",
    "n": "--hostname",
    "Q": "--queues",
    "X": "--exclude-queues",
    "c": "--concurrency",
    "P": "--pool",
    "f": "--logfile",
    "D": "--detach",
    "S": "--statedb",
}
#: One-letter switches: another letter may follow in the same word.
_SWITCHES = frozenset("BEhq")
_OWN_SETTINGS: Mapping[str, str] = {
    "broker_url": "broker",
    "broker_read_url": "broker",
    "broker_write_url": "broker",
    "result_backend": "result_backend",
}


def app_changes(given: Mapping[str, Any], *, is_new: bool, is_root: bool) -> dict[str, Any]:
    """Fields of an :class:`~cyme_supd.domain.spec.App`, as *given* changes them.

    *given* holds the contract's parameters of an application; ``user`` is
    refused unless the branch runs as root.
    """
    refuse_unstorable(given)
    if given.get("user") and not is_root:
        raise Invalid("user: only where the branch runs as root", "leave it out")
    changes = _read(given, _APP)
    changes.update(_broker_change(given, is_new))
    return changes


def instance_changes(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of an :class:`~cyme_supd.domain.spec.Instance`, as *given* changes them."""
    refuse_unstorable(given)
    return _read(given, _INSTANCE)


def check_limits(pool: str, most: int, least: int) -> None:
    """Whether a worker with *pool* can have these limits at all."""
    if not 1 <= most <= MAX_CONCURRENCY:
        raise Invalid(f"max_concurrency: {_number(most)} is not within 1-{MAX_CONCURRENCY}")
    if not 0 <= least <= most:
        raise Invalid(f"min_concurrency: {_number(least)} is not within 0-{most}, its maximum")
    if pool in AUTOSCALED_POOLS:
        return
    if most != least:
        raise Invalid(
            f"a {pool} worker has no autoscaler: min_concurrency must be max_concurrency",
            f"send both, or use a pool of {', '.join(sorted(AUTOSCALED_POOLS))}",
        )
    if pool == "solo" and most != 1:
        raise Invalid("a solo worker is one process: max_concurrency is 1")


def _read(given: Mapping[str, Any], table: _Table) -> dict[str, Any]:
    changes = {}
    for name, (default, reader) in table.items():
        if name in given:
            value = given[name]
            is_default = value is None or value == ""
            changes[name] = default() if is_default else reader(name, value)
    return changes


# Brokers ---------------------------------------------------------------


def _broker_change(given: Mapping[str, Any], is_new: bool) -> dict[str, Any]:
    parts = [name for name in BROKER_PARTS if name in given]
    if "broker" in given:
        if parts:
            raise Invalid(f"broker and {parts[0]}: a broker is given once", "send one of the two")
        return {"broker": _broker("broker", given["broker"]) if given["broker"] else None}
    if not parts:
        return {}
    if "hostname" in parts:
        return {"broker": _from_parts(given) if given["hostname"] else None}
    if is_new:
        return {}
    raise Invalid(
        f"{parts[0]}: a broker is changed as a whole",
        "send hostname with the other parts, or broker=URL",
    )


def _from_parts(given: Mapping[str, Any]) -> str:
    transport = given.get("transport") or "amqp"
    if not default_port(transport):
        # check_broker names the transports there are.
        check_broker(Broker(transport=transport))
    fallback = parse_broker(f"{transport}://{given['hostname']}?ssl_cert_reqs=CERT_REQUIRED")
    own: dict[str, Any] = {name: given[name] for name in BROKER_PARTS if given.get(name)}
    values: dict[str, Any] = {name: getattr(fallback, name) for name in BROKER_PARTS}
    if given.get("port") is not None:
        own["port"] = given["port"]
    options = "ssl_cert_reqs=CERT_REQUIRED" if transport == "rediss" else ""
    return check_broker(Broker(**{**values, **own}, options=options)).url


def _broker(name: str, value: str) -> str:
    if len(value) > MAX_WORD:
        raise Invalid(f"{name}: longer than {MAX_WORD} characters")
    return parse_broker(value).url


# Words for celery worker -----------------------------------------------


def _arguments(name: str, value: str | Sequence[Any]) -> tuple[str, ...]:
    words = tuple(_words(name, value))
    if len(words) > MAX_WORDS or sum(map(len, words)) > MAX_TOTAL:
        raise Invalid(f"{name}: more than {MAX_WORDS} words or {MAX_TOTAL} characters")
    for word in words:
        _line(name, word)
        _refuse_own_flag(name, word)
    return words


def _words(name: str, value: str | Sequence[Any]) -> list[str]:
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = parsed(name, value)
    if isinstance(value, str):
        return split(name, value)
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
        raise Invalid(f"{name}: a shell-quoted string, or a list of strings")
    return cast(list[str], list(value))


def _refuse_own_flag(name: str, word: str) -> None:
    if word == "--":
        raise Invalid(f"{name}: words after -- reach no option", "use extra_config for settings")
    for flag in _flags(word):
        if flag in LONG_FLAGS:
            raise Invalid(f"{name}: {word[:40]!r} is set by the branch", f"use {LONG_FLAGS[flag]}")


def _flags(word: str) -> Iterable[str]:
    """The long names of the options in *word*, one-letter ones joined to others too."""
    if word.startswith("--"):
        yield word.partition("=")[0]
    elif word.startswith("-"):
        for letter in word[1:]:
            yield SHORT_FLAGS.get(letter, "")
            if letter not in _SWITCHES:
                return


# Settings and environment ----------------------------------------------


def _extra_config(name: str, value: str | Mapping[str, Any]) -> dict[str, Any]:
    config = _object(name, value, _literal)
    if len(config) > MAX_KEYS or len(json.dumps(config)) > MAX_TOTAL:
        raise Invalid(f"{name}: more than {MAX_KEYS} settings or {MAX_TOTAL} characters")
    for key in config:
        if not _SETTING.fullmatch(key):
            raise Invalid(
                f"{name}: {shown(key)} is not the name of a setting",
                "Celery's lower-case names, such as worker_prefetch_multiplier",
            )
        if key in _OWN_SETTINGS:
            raise Invalid(f"{name}: {key} is set by the branch", f"use {_OWN_SETTINGS[key]}")
    return config


def read_environment(name: str, value: str | Mapping[str, Any]) -> dict[str, str]:
    environment = _object(name, value, str)
    if len(environment) > MAX_KEYS:
        raise Invalid(f"{name}: more than {MAX_KEYS} variables")
    for key, text in environment.items():
        if not ENVIRONMENT_NAME.fullmatch(key):
            raise Invalid(f"{name}: {shown(key)} is not the name of a variable")
        if key.startswith(("CELERY_BROKER_", "CYME_")):
            raise Invalid(f"{name}: {key[:40]} is set by the branch", "use broker")
        if not isinstance(text, str):
            raise Invalid(f"{name}: the value of {key} is not a string")
    if sum(len(key) + len(text) for key, text in environment.items()) > MAX_TOTAL:
        raise Invalid(f"{name}: more than {MAX_TOTAL} characters")
    return environment


def _object(
    name: str, value: str | Mapping[str, Any], read: Callable[[str], Any]
) -> dict[str, Any]:
    """The object that *value* is, or spells as ``key=value ...``."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = parsed(name, value)
    if isinstance(value, Mapping):
        return dict(value)
    if not isinstance(value, str):
        raise Invalid(f"{name}: key=value ..., or a JSON object")
    pairs = [word.partition("=") for word in split(name, value)]
    if any(not sign for _, sign, _ in pairs):
        raise Invalid(f"{name}: every word is key=value", 'or send {"key": value} as JSON')
    if len({key for key, _, _ in pairs}) != len(pairs):
        raise Invalid(f"{name}: a key is given twice")
    return {key: read(text) for key, _, text in pairs}


def _literal(text: str) -> Any:
    """``true``, ``7``, ``[1]`` as JSON reads them; everything else is a string."""
    try:
        value = load_json(text)
        refuse_unstorable(value)
    except Invalid:
        return text
    return value


# Plain ones ------------------------------------------------------------


def _queues(name: str, value: str | Sequence[Any]) -> tuple[str, ...]:
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = parsed(name, value)
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, list | tuple) or len(value) > MAX_QUEUES:
        raise Invalid(f"{name}: a list of at most {MAX_QUEUES} names")
    for queue in value:
        if check_queue_name("queue", queue).startswith(DIRECT_PREFIX):
            raise Invalid(f"{name}: {queue[:40]!r} is an instance's own queue", "leave it out")
    return tuple(dict.fromkeys(value))


def _celery_app(name: str, value: str) -> str:
    if not _CELERY_APP.fullmatch(value):
        raise Invalid(f"{name}: {shown(value)} is not module.path:attribute", "proj.celery:app")
    return value


def read_user(name: str, value: str) -> str:
    if not _USER.fullmatch(value):
        raise Invalid(f"{name}: {shown(value)} is not the name of a user")
    return value


def _path(name: str, value: str) -> str:
    if not value.startswith("/"):
        raise Invalid(f"{name}: {shown(value)} is not an absolute path")
    return _line(name, value)


def _line(name: str, value: str) -> str:
    if len(value) > MAX_WORD or any(is_control(char) for char in value):
        raise Invalid(f"{name}: longer than {MAX_WORD}, or with a control character in it")
    return value


def _pool(name: str, value: str) -> str:
    if value not in POOLS:
        raise Invalid(f"{name}: {shown(value)} is not a pool", nearest(value[:40], POOLS))
    return value


def within(least: int, most: int) -> Callable[[str, int], int]:
    def read(name: str, value: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Invalid(f"{name}: not a whole number within {least}-{most}")
        return value

    return read


def _number(value: int) -> str:
    return str(value) if abs(value) <= MAX_WHOLE else "the number"


def _flag(name: str, value: bool) -> bool:
    if not isinstance(value, bool):
        raise Invalid(f"{name}: neither true nor false")
    return value


def _no() -> bool:
    return False


def _none() -> None:
    return None


def _one() -> int:
    return 1


_Table = Mapping[str, tuple[Callable[[], Any], Callable[[str, Any], Any]]]
_BOTH: _Table = {
    "arguments": (tuple, _arguments),
    "extra_config": (dict, _extra_config),
    "pool": (_none, _pool),
    "stop_timeout_s": (_none, within(0, MAX_STOP_TIMEOUT_S)),
    "hung_timeout_s": (_none, within(0, MAX_STOP_TIMEOUT_S)),
}
_APP: _Table = {
    **_BOTH,
    "celery_app": (_none, _celery_app),
    "directory": (_none, _path),
    "environment": (dict, read_environment),
    "user": (_none, read_user),
    "command": (_none, _path),
    "result_backend": (_none, _line),
    "is_tracked": (_no, _flag),
}
_INSTANCE: _Table = {
    **_BOTH,
    "broker": (_none, _broker),
    "max_concurrency": (_one, within(1, MAX_CONCURRENCY)),
    "min_concurrency": (_one, within(0, MAX_CONCURRENCY)),
    "queues": (tuple, _queues),
}
