"""Tasks that are tracked, as they are told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from cyme_supd.clock import isoformat
from cyme_supd.domain.broker import MASK
from cyme_supd.domain.ledgerstore import ErrorGroup, Gap, Refusal, Source, Tracked, cursor_text
from cyme_supd.service import Joining, Retried, TaskDetails
from cyme_supd.web.schemas import MAX_LOG_BYTES

_SHOWN = ("name", "worker", "args", "kwargs", "runtime", "retries", "error")
_MORE = (
    "root",
    "parent",
    "group",
    "eta",
    "expires",
    "producer",
    "retry_of",
    "result",
    "traceback",
)


def task(found: Tracked) -> dict[str, Any]:
    get = found.record.get
    return {
        "id": found.record.id,
        "source": found.source,
        "state": found.record.state,
        "lost": found.lost,
        "began_at": _moment(found.began_at / 1e6),
        "queue": get("routing_key"),
        **{name: get(name) for name in _SHOWN},
    }


def alone(found: Tracked) -> dict[str, Any]:
    """All that is known of it, but for its children."""
    states = {
        name: {"first": _moment(span.first), "last": _moment(span.last)}
        for name, span in sorted(found.record.states.items(), key=lambda each: each[1].first)
    }
    more = {name: found.record.get(name) for name in _MORE}
    return {**task(found), "states": states, **more}


def whole(found: TaskDetails) -> dict[str, Any]:
    app, name = found.instance or ("", "")
    return {
        **alone(found.task),
        "children": [task(each) for each in found.children],
        "instance": {"app": app, "name": name} if found.instance else None,
        "log": _log(app, name, found.task.record.id) if found.instance else None,
        "run": found.run,
    }


def _log(app: str, name: str, id: str) -> str:
    """Where the lines are that tell of the task."""
    wanted = urlencode({"bytes": MAX_LOG_BYTES, "q": id})
    return f"/{quote(app)}/instances/{quote(name)}/log/?{wanted}"


def retried(done: Retried) -> dict[str, Any]:
    return {
        "matched": done.matched,
        "sent": done.sent,
        "left_out": dict(done.left_out),
        "ids": done.ids,
        "after": cursor_text(done.after) if done.after else None,
    }


def error(found: ErrorGroup) -> dict[str, Any]:
    return {
        "error": found.error,
        "count": found.count,
        "last": found.last,
        "began_at": _moment(found.began_at / 1e6),
    }


def refusal(found: Refusal, secrets: bool) -> dict[str, Any]:
    body = found.body.decode(errors="replace")
    return {
        "source": found.source,
        "at": _moment(found.at),
        "reason": found.reason,
        "detail": found.detail,
        "content_type": found.content_type,
        "headers": found.headers if secrets or not found.headers else MASK,
        "body": body if secrets or not body else MASK,
    }


def gaps(found: Sequence[Gap], source: str | None) -> list[dict[str, Any]]:
    return [
        {
            "source": each.source,
            "what": each.what,
            "since": _moment(each.since),
            "until": _moment(each.until),
            "reason": each.reason,
        }
        for each in found
        if source in (None, each.source)
    ]


def _moment(at: float) -> str:
    return isoformat(datetime.fromtimestamp(at, UTC))


def joining(found: Joining, secrets: bool) -> dict[str, Any]:
    return {
        "is_tracked": found.app.is_tracked,
        "broker": found.broker.as_dict(secrets),
        "exchange": found.place.exchange,
        "platform_queue": found.place.queue,
        "source": found.place.source,
        "install": "pip install cyme-supd",
        "imports": "from cyme_supd.tracking import Config",
        "line": found.line,
        "seen": _seen(found.seen) if found.seen is not None else None,
    }


def _seen(source: Source) -> dict[str, Any]:
    """Moments are epoch seconds, null for never."""
    return {
        "watched_at": source.watched_at or None,
        "message_at": source.message_at or None,
        "event_at": source.event_at or None,
        "refused": dict(source.refused),
    }
