"""Which names may exist, and the names Cyme derives from them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from cyme_supd.errors import Invalid

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
NAME_HINT = "1-128 of A-Z a-z 0-9 . _ -, the first a letter or a digit"
ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)

RESERVED_APPS = frozenset(
    [
        "admin",
        "api",
        "branches",
        "health",
        "instance",
        "instances",
        "login",
        "logout",
        "metrics",
        "ping",
        "static",
    ]
)
RESERVED_INSTANCES = frozenset({"all", "cyme"})

#: Every instance consumes a queue of its own, which starts with this.
DIRECT_PREFIX = "dq."
#: Names in one line of an error or a log.
MOST_LISTED = 20


def check_name(kind: str, name: object) -> str:
    """*name* if it is one; :exc:`Invalid` says what a name of *kind* is."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise Invalid(f"{_shown(name)} is not a name for {_article(kind)}", NAME_HINT)
    return name


def check_app_name(name: object) -> str:
    checked = check_name("app", name)
    if checked in RESERVED_APPS:
        raise Invalid(f"{checked!r} is reserved", "choose another name for the app")
    return checked


def check_instance_name(name: object) -> str:
    checked = check_name("instance", name)
    if checked in RESERVED_INSTANCES or checked.startswith("cyme-"):
        raise Invalid(
            f"{checked!r} is reserved",
            "instances may not be called all, cyme or cyme-...",
        )
    return checked


def check_queue_name(kind: str, name: object) -> str:
    """A queue, exchange or routing key: 1-128 printable characters, 255 bytes."""
    if not isinstance(name, str) or not 1 <= len(name) <= 128:
        raise Invalid(f"{_shown(name)} is not a name for {_article(kind)}", "1-128 characters")
    if any(is_control(char) for char in name):
        raise Invalid(f"the name of {_article(kind)} has a control character in it")
    if len(name.encode("utf-8", "surrogatepass")) > 255:
        raise Invalid(f"the name of {_article(kind)} is longer than 255 bytes")
    return name


def direct_queue(instance: str) -> str:
    return DIRECT_PREFIX + instance


def nodename(instance: str, branch: str) -> str:
    """The worker's name at the broker; unique in a fleet because both are."""
    return f"{instance}@{branch}"


def is_control(char: str) -> bool:
    """C0, DEL, C1, the line separators and lone surrogates: none belongs in a name."""
    point = ord(char)
    return (
        point < 0x20
        or 0x7F <= point < 0xA0
        or point in (0x2028, 0x2029, 0xFEFF)
        or 0xD800 <= point < 0xE000
    )


def nearest(word: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?`` for the closest of *known*, or the whole list."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(names)}" if names else ""


def listed(names: Sequence[str], most: int = MOST_LISTED) -> str:
    """*names* in a sentence: no more than so many of them, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
