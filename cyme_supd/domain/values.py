"""What any value must stand, whatever it means. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cyme_supd.domain.broker import MASK
from cyme_supd.errors import Invalid

MAX_TOTAL = 32768
MAX_DEPTH = 16
MAX_WHOLE = 2**63 - 1


def refuse_unstorable(value: Any, name: str = "", depth: int = 0) -> None:
    """Masked secrets, NUL, half characters, and what JSON or a database cannot hold."""
    if depth > MAX_DEPTH:
        raise Invalid(f"{name}: nested deeper than {MAX_DEPTH}")
    if isinstance(value, str):
        _refuse_text(name, value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            label = name or (key if isinstance(key, str) else "")
            refuse_unstorable(key, label, depth + 1)
            refuse_unstorable(inner, label, depth + 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            refuse_unstorable(inner, name, depth + 1)
    elif isinstance(value, int) and abs(value) > MAX_WHOLE:
        raise Invalid(f"{name}: a number of more than 64 bits")


def _refuse_text(name: str, value: str) -> None:
    if MASK in value:
        raise Invalid(f"{name}: a masked value cannot be stored", "send the value itself")
    if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise Invalid(f"{name}: has a NUL or half a character in it")


def load_json(text: str | bytes) -> Any:
    """What *text* is in JSON: no NaN, no infinity, no key twice."""
    try:
        return json.loads(
            text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_once
        )
    except (ValueError, RecursionError):
        hint = "NaN, infinity and a key twice are not JSON"
        raise Invalid("not readable as JSON", hint) from None


def _no_constant(text: str) -> Any:
    raise ValueError(text)


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(text)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key is there twice")
    return result


def parsed(name: str, text: str) -> Any:
    try:
        value = load_json(text)
    except Invalid as exc:
        raise Invalid(f"{name}: {exc.message}", exc.hint) from None
    refuse_unstorable(value, name)
    return value


def split(name: str, value: str) -> list[str]:
    if len(value) > MAX_TOTAL:
        raise Invalid(f"{name}: longer than {MAX_TOTAL} characters")
    try:
        return shlex.split(value)
    except ValueError:
        raise Invalid(f"{name}: a quote is not closed", "or send it as JSON") from None


def shown(value: str) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def instant(name: str, text: str, hint: str = "ISO 8601, as 2011-08-15T22:06:43Z") -> datetime:
    """The time that *text* says, in UTC also where it does not say so; else ``Invalid``."""
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid(f"{name}: no time", hint) from None
