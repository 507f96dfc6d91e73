"""What a database makes of values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from cyme_supd.domain.spec import App, Instance, Queue
from cyme_supd.domain.status import Branch
from cyme_supd.domain.task import Task
from cyme_supd.errors import Invalid

_T = TypeVar("_T", App, Queue, Instance, Branch, Task)


def stored(value: _T) -> _T:
    """*value* as a database gives it back: JSON's types, times in UTC, nothing shared."""
    changed = {}
    for name in value.__dataclass_fields__:
        before = getattr(value, name)
        if isinstance(before, Mapping):
            changed[name] = _as_json(before)
        elif isinstance(before, datetime):
            changed[name] = _as_utc(before)
        elif isinstance(before, str):
            _check_text(before)
    return replace(value, **changed)


def _as_json(value: Mapping[str, Any]) -> Any:
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except ValueError as exc:
        raise Invalid(f"a value cannot be stored: {exc}") from exc


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise Invalid(f"a value cannot be stored: {exc.reason}") from exc


def _as_utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise Invalid("a time without an offset cannot be stored")
    return at.astimezone(UTC)
