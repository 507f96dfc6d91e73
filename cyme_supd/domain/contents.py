"""Applications and queues as JSON, from one branch to another. Pure.

All that is stored of one travels, secrets too: whoever may listen at the
control broker reads them. ``is_deleting`` is left out: each branch waits for
its own instances. What is at its default is left out as well, so that a field
which a newer branch has, and nobody uses, makes no difference.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from cyme_supd.domain.declaration import check_own_queue_name, declaration, defaults
from cyme_supd.domain.naming import check_app_name
from cyme_supd.domain.parameters import app_changes
from cyme_supd.domain.pause import MAX_REASON, Pause
from cyme_supd.domain.rollout import Rollout
from cyme_supd.domain.spec import App, Queue
from cyme_supd.errors import Invalid

#: Characters of a digest: enough to tell contents apart that nobody forges.
DIGEST_LENGTH = 16

_NOT_TOLD = ("name", "app", "is_deleting")
_APP_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "broker": str,
    "arguments": list,
    "extra_config": Mapping,
    "celery_app": str,
    "directory": str,
    "environment": Mapping,
    "user": str,
    "command": str,
    "result_backend": str,
    "pool": str,
    "stop_timeout_s": int,
    "hung_timeout_s": int,
    "is_tracked": bool,
}
_QUEUE_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "exchange": str,
    "exchange_type": str,
    "routing_key": str,
    "options": Mapping,
}


def as_json(thing: App | Queue) -> dict[str, Any]:
    """Everything of *thing* but its name: ``{"created_at": "2011-08-15T22:06:43+00:00", ...}``."""
    told = (each.name for each in fields(thing) if each.name not in _NOT_TOLD)
    values = {name: _plain(getattr(thing, name)) for name in told}
    return {name: value for name, value in values.items() if _is_said(value)}


def _is_said(value: Any) -> bool:
    return value is not False and value not in (None, [], {})


def digest_of(thing: App | Queue) -> str:
    text = json.dumps(as_json(thing), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


def app_from(name: str, content: Mapping[str, Any]) -> App:
    """The app that :func:`as_json` told of; what is unknown here is left out.

    Raises ``Invalid`` for what no app can be.
    """
    with _refusing():
        return App(
            name=check_app_name(name),
            created_at=_instant(content["created_at"]),
            pause=_pause(content.get("pause")),
            rollout=_rollout(content.get("rollout")),
            # Whether the user can be had is up to the branch that starts its workers.
            **app_changes(_typed(content, _APP_TYPES), is_new=True, is_root=True),
        )


def queue_from(app: str, name: str, content: Mapping[str, Any]) -> Queue:
    """The queue, likewise."""
    with _refusing():
        check_own_queue_name(name)
        declared = {**defaults(name), **declaration(name, _typed(content, _QUEUE_TYPES))}
        return Queue(
            app=check_app_name(app),
            name=name,
            created_at=_instant(content["created_at"]),
            pause=_pause(content.get("pause")),
            **declared,
        )


def instant_from(value: object) -> datetime:
    """A moment in ISO 8601, with its offset, in UTC; ``Invalid`` for anything else."""
    with _refusing():
        return _instant(value)


def pause_from(value: object) -> Pause | None:
    """A pause as it is told of, or none; ``Invalid`` for anything else."""
    with _refusing():
        return _pause(value)


@contextmanager
def _refusing() -> Iterator[None]:
    # What comes from elsewhere may have any shape: the readers expect one.
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as exc:
        raise Invalid(f"not readable: {type(exc).__name__}") from exc


def _plain(value: Any) -> Any:
    if isinstance(value, Pause | Rollout):
        return value.as_dict()
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def _typed(
    content: Mapping[str, Any], types: Mapping[str, type | tuple[type, ...]]
) -> dict[str, Any]:
    """What is known of *content*; ``Invalid`` where that has another type."""
    known = {name: content[name] for name in types if content.get(name) is not None}
    for name, value in known.items():
        if not isinstance(value, types[name]):
            raise Invalid(f"{name}: of another type")
    return known


def _instant(value: object) -> datetime:
    at = datetime.fromisoformat(value) if isinstance(value, str) else None
    if at is None or at.tzinfo is None:
        raise Invalid("a time is not ISO 8601 with an offset")
    return at.astimezone(UTC)


def _pause(value: Any) -> Pause | None:
    if value is None:
        return None
    reason, until = value["reason"], value["until"]
    if not isinstance(reason, str) or len(reason) > MAX_REASON:
        raise Invalid("pause: its reason is no text, or too long")
    return Pause(reason, _instant(value["since"]), None if until is None else _instant(until))


def _rollout(value: Any) -> Rollout | None:
    if value is None:
        return None
    is_aborted = value["is_aborted"]
    if not isinstance(is_aborted, bool):
        raise Invalid("rollout: is_aborted is true or false")
    return Rollout(
        number=_count(value["number"]),
        max_unavailable=_count(value["max_unavailable"]),
        created_at=_instant(value["created_at"]),
        is_aborted=is_aborted,
        attempt=_count(value["attempt"]),
    )


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**31:
        raise Invalid("rollout: not a whole number from 1 on")
    return value
