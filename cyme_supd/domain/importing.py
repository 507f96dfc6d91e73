"""From a hand-written program that runs ``celery worker`` to an app and an instance. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cyme_supd.domain.parameters import (
    LONG_FLAGS,
    SHORT_FLAGS,
    app_changes,
    check_limits,
    instance_changes,
)
from cyme_supd.errors import Invalid

#: In front of a command, for its priority or its output alone.
_IN_FRONT = frozenset({"exec", "nohup", "setsid"})
_SHELLS = frozenset({"bash", "sh", "dash", "zsh"})
_OTHER_COMMANDS: Mapping[str, str] = {
    "beat": "a scheduler is no worker: leave it to supervisord",
    "flower": "it watches workers and is none: leave it to supervisord",
    "events": "it watches workers and is none: leave it to supervisord",
    "multi": "it starts workers in the background, where supervisord does not keep them either",
}
_SHORT = {f"-{letter}": name for letter, name in SHORT_FLAGS.items()} | {"-B": "--beat"}
_SWITCHES = frozenset({"--detach", "--beat"})
#: With a value, and understood; everything else goes to the worker as it is.
_VALUES = LONG_FLAGS.keys() - _SWITCHES
_DROPPED: Mapping[str, str] = {
    "--hostname": "its name at the broker is instance@branch",
    "--logfile": "its log is worker.log in its folder",
    "--pidfile": "its pid is in worker.pid in its folder",
    "--gid": "its group is that of its user",
    "--statedb": "revoked tasks are kept by the workers themselves",
}


@dataclass(frozen=True, slots=True)
class Handwritten:
    """A process of a ``[program:...]`` section, as supervisord would run it."""

    name: str
    command: str
    directory: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    stop_timeout_s: int = 10


@dataclass(frozen=True, slots=True)
class Planned:
    """What does the same: parameters of an app, and of an instance called *name*.

    ``notes`` are about what counts no more.
    """

    name: str
    app: Mapping[str, Any]
    instance: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def queues(self) -> list[str]:
        return list(self.instance.get("queues", ()))


def runs_celery(program: Handwritten) -> bool:
    """Whether it has to do with Celery at all, be it in the words of a shell."""
    return "celery" in program.command


def plan(
    program: Handwritten, processors: int, locate: Callable[[str, str | None], str]
) -> Planned:
    """*locate* finds ``module:attribute`` for what ``-A`` named, in a directory.

    Raises ``Invalid`` for what Cyme does not keep, or cannot keep like this.
    """
    words, environment = _unwrapped(_words(program.command), dict(program.environment))
    command, words = _celery(words)
    options, rest = _read(words)
    directory = options.get("--workdir") or program.directory
    if "--app" not in options:
        raise Invalid("there is no -A: Cyme has to know the application", "add -A module:attribute")
    app: dict[str, Any] = {
        "celery_app": locate(options["--app"], directory),
        "directory": directory,
        "environment": environment,
        "user": options.get("--uid") or program.user,
        "command": command if "/" in command else None,
        "broker": options.get("--broker") or environment.pop("CELERY_BROKER_URL", None),
        "result_backend": options.get("--result-backend"),
    }
    instance = {
        **_limits(options, processors),
        "pool": options.get("--pool"),
        "queues": _queues(options),
        "arguments": rest,
        "stop_timeout_s": program.stop_timeout_s,
    }
    notes = (*_dropped(options), *_remarks(program, options))
    return Planned(program.name, _given(app), _given(instance), notes)


def check(planned: Planned) -> None:
    """Raise ``Invalid`` for parameters that a branch would refuse.

    Whether it may change users is for the branch to say.
    """
    app_changes(planned.app, is_new=True, is_root=True)
    instance_changes(planned.instance)
    most, least = (planned.instance[f"{end}_concurrency"] for end in ("max", "min"))
    check_limits(planned.instance.get("pool", "prefork"), most, least)


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, {}, [])}


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as exc:
        raise Invalid(f"its command cannot be read: {exc}") from None


def _unwrapped(words: list[str], environment: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """Without ``env``, ``nice`` and the like in front of it."""
    while words:
        first = _base(words[0])
        if first in _SHELLS:
            raise Invalid("it runs in a shell", "write the celery command itself")
        if first == "nice":
            raise Invalid("it runs with another priority, which Cyme does not set", "drop nice")
        if first == "env":
            words = words[1:]
            while words and "=" in words[0]:
                name, _, environment[name] = words.pop(0).partition("=")
        elif first in _IN_FRONT:
            words = words[1:]
        else:
            break
    return words, environment


def _celery(words: list[str]) -> tuple[str, list[str]]:
    """The program ``celery``, and what it is told."""
    first = words[0] if words else ""
    if _base(first) == "celery":
        return first, words[1:]
    if _base(first).startswith("python") and words[1:3] == ["-m", "celery"]:
        folder, slash, _ = first.rpartition("/")
        return f"{folder}{slash}celery", words[3:]
    if "manage.py" in " ".join(words):
        raise Invalid("manage.py celery went with Celery 3", "celery -A module:attribute worker")
    raise Invalid("it does not run the program celery itself", "celery -A module:attribute worker")


def _read(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Options that Cyme understands, by their long names, and the rest as it was."""
    options: dict[str, str] = {}
    rest: list[str] = []
    is_worker = False
    left = iter(words)
    for word in left:
        name, value = _option(word)
        if name in _SWITCHES:
            options[name] = ""
        elif name in _VALUES:
            options[name] = next(left, "") if value is None else value
        elif not is_worker and not word.startswith("-"):
            _check_command(word)
            is_worker = True
        else:
            rest.append(word)
    if not is_worker:
        raise Invalid("it does not say worker", "celery -A module:attribute worker")
    _check(options)
    return options, rest


def _option(word: str) -> tuple[str, str | None]:
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return name, value if equals else None
    name = _SHORT.get(word[:2], word)
    return name, word[2:].removeprefix("=") if name != word and len(word) > 2 else None


def _check_command(word: str) -> None:
    if word != "worker":
        why = _OTHER_COMMANDS.get(word, "only workers are kept")
        raise Invalid(f"it runs celery {word}: {why}")


def _check(options: Mapping[str, str]) -> None:
    if "--beat" in options:
        raise Invalid("its worker is a scheduler, too (-B)", "run celery beat as its own program")
    if "--exclude-queues" in options:
        raise Invalid("it excludes queues (-X)", "name those that it is to consume from with -Q")
    if "--detach" in options:
        raise Invalid("it goes to the background (--detach)", "nobody would keep it: drop that")


def _limits(options: Mapping[str, str], processors: int) -> dict[str, int]:
    if options.get("--pool") == "solo":
        # Whatever it was told, it has no other process than its main one.
        return {"max_concurrency": 1, "min_concurrency": 1}
    if "--autoscale" in options:
        most, _, least = options["--autoscale"].partition(",")
        return {
            "max_concurrency": _number("--autoscale", most),
            "min_concurrency": _number("--autoscale", least or "0"),
        }
    count = _number("--concurrency", options.get("--concurrency", str(processors)))
    return {"max_concurrency": count, "min_concurrency": count}


def _number(name: str, text: str) -> int:
    if not text.strip().isdecimal():
        raise Invalid(f"{name} is {text!r}, which is no number")
    return int(text)


def _queues(options: Mapping[str, str]) -> list[str]:
    # A worker without -Q consumes from Celery's default queue.
    return [name.strip() for name in options.get("--queues", "celery").split(",") if name.strip()]


def _dropped(options: Mapping[str, str]) -> Iterator[str]:
    yield from (why for name, why in _DROPPED.items() if name in options)


def _remarks(program: Handwritten, options: Mapping[str, str]) -> Iterator[str]:
    if not options.keys() & {"--autoscale", "--concurrency"} and options.get("--pool") != "solo":
        yield "it has as many processes as this host has processors"
    if program.stop_timeout_s == 10:
        yield "its tasks have 10 s to end when it is stopped, supervisord's stopwaitsecs"
