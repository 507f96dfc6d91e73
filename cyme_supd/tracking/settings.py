"""The names of settings, and their values in the environment."""

from __future__ import annotations

import ast
import difflib
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from celery.app.defaults import NAMESPACES, Option, flatten
from celery.utils.serialization import strtobool

from cyme_supd.domain.masking import is_secret
from cyme_supd.errors import Invalid

CELERYS: dict[str, Option] = dict(flatten(NAMESPACES))

#: Config's own: which are text, whatever they look like, and what they are unless said.
OWN: dict[str, Any] = {
    "PLATFORM_QUEUE_NAME": "platform.fifo",
    "RESULT_BACKEND_TEMPLATE": (
        "db+postgresql+psycopg://{RESULT_DB_USER}:{RESULT_DB_PASS}"
        "@{RESULT_DB_HOST}:{RESULT_DB_PORT}/{RESULT_DB_NAME}"
    ),
    "RESULT_DB_USER": "celery",
    "RESULT_DB_PASS": "",
    "RESULT_DB_HOST": "localhost",
    "RESULT_DB_PORT": 5432,
    "RESULT_DB_NAME": "celery",
    # At Celery's one try a second a day, which is how long it keeps results.
    "CHORD_UNLOCK_MAX_RETRIES": 86_400,
    "SENTRY_DSN": "",
}
#: Celery reads these itself, and prefers them to what any configuration says.
CELERYS_ENVIRONMENT = {
    "broker_url": "CELERY_BROKER_URL",
    "broker_read_url": "CELERY_BROKER_READ_URL",
    "broker_write_url": "CELERY_BROKER_WRITE_URL",
    "result_backend": "CELERY_RESULT_BACKEND",
}
#: How alike two names are of which one is meant to be the other.
_ALIKE = 0.8


def _old_names(namespace: str, key: str, option: Option) -> list[tuple[str, str]]:
    new = namespace + key
    olds = [old.format(key).upper() for old in option.old] or [new.upper()]
    return [(old, new) for old in olds]


#: What Celery 3 called them, by which Celery would take all others for Celery 3's, too.
_OLD: dict[str, str] = dict(flatten(NAMESPACES, keyfilter=_old_names))


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """*given* by keyword, if each is a setting; :exc:`Invalid` names the right one."""
    for name in given:
        _check(name)
    return dict(given)


def _check(name: str) -> None:
    if name in CELERYS or name in OWN:
        return
    if name in ("QUEUES", "ENV_PREFIX"):
        raise Invalid(f"{name} is not set by that name")
    meant = _meant(name)
    if meant:
        raise Invalid(f"there is no setting {name}", f"did you mean {meant}?")
    if name.islower():
        warnings.warn(f"Celery has no setting {name}: it is kept for others", stacklevel=4)
    elif not name.isupper():
        raise Invalid(
            f"there is no setting {name}",
            "Celery's are written in lower case, an application's own in upper case",
        )


def _meant(name: str) -> str:
    """The setting that somebody had in mind who wrote *name*, or nothing."""
    if name.upper() in OWN:
        return name.upper()
    if name in _OLD or name.lower() in CELERYS:
        return _OLD.get(name, name.lower())
    known: Iterable[str] = CELERYS if name.islower() else OWN
    ends = [each for each in known if each.endswith(f"_{name}")] if name.islower() else []
    return (*ends, *difflib.get_close_matches(name, known, 1, _ALIKE), "")[0]


def from_environment(environ: Mapping[str, str], prefix: str) -> dict[str, Any]:
    """Celery's settings and Config's own, of those variables that begin with *prefix*.

    Others begin so, too: only what resembles a setting and is none is told of. An
    empty one says nothing.
    """
    found = {}
    for variable, text in environ.items():
        if not prefix or not variable.startswith(prefix) or not text:
            continue
        name = variable.removeprefix(prefix)
        if name.upper() in OWN:
            found[name.upper()] = _own(name.upper(), text)
        elif name.lower() in CELERYS:
            found[name.lower()] = _typed(variable, name.lower(), text)
        elif meant := _OLD.get(variable) or _meant(name.lower()) or _meant(name.upper()):
            warnings.warn(f"{variable} is of no setting: {prefix}{meant.upper()}?", stacklevel=3)
    return found


def _own(name: str, text: str) -> Any:
    return literal(text) if isinstance(OWN[name], int) else text


def _typed(variable: str, name: str, text: str) -> Any:
    if is_secret(name):
        # A password of digits is not a number.
        return text
    value = literal(text)
    if isinstance(value, str) and CELERYS[name].type == "bool":
        return _yes_or_no(variable, value)
    return value


def _yes_or_no(variable: str, text: str) -> bool:
    """``false`` is no literal of Python; as a string it would be true."""
    try:
        return bool(strtobool(text))
    except TypeError:
        raise Invalid(f"{variable} is neither true nor false: {text[:40]!r}") from None


def literal(text: str) -> Any:
    """What *text* is as a literal of Python; what is none stays the string it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return text


def overruled(given: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[str]:
    """Variables for which Celery leaves aside what was *given*."""
    for name, variable in CELERYS_ENVIRONMENT.items():
        said = environ.get(variable)
        if said and name in given and given[name] != said:
            yield variable
