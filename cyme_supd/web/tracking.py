"""The record of tasks over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response

from cyme_supd.clock import isoformat
from cyme_supd.domain.ledgerstore import Gap, Source, Tracked, cursor_text
from cyme_supd.service import Fleet, Joining, Service
from cyme_supd.service.fleet import READ_S
from cyme_supd.web import wire
from cyme_supd.web.forwarding import question, response
from cyme_supd.web.params import takes
from cyme_supd.web.routing import Routes
from cyme_supd.web.schemas import Nothing, Shown
from cyme_supd.web.scopes import HERE, Path, View
from cyme_supd.web.trackingparams import TasksQuery

_SHOWN = ("name", "worker", "args", "kwargs", "runtime", "retries", "error")
_MORE = (
    "root",
    "parent",
    "group",
    "eta",
    "expires",
    "producer",
    "result",
    "traceback",
)


@dataclass(frozen=True, slots=True)
class Recorder:
    """The branch that keeps the record: where each has a store of its own, the first of them."""

    def answer(self, fleet: Fleet, view: View, path: Path) -> Response:
        first = min([*fleet.others(), fleet.here])
        if fleet.is_shared or first == fleet.here:
            return view(**path)
        return response(fleet.ask(first, question(), READ_S))


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("tracking", __name__)
    tracking = service.tracking

    @takes(Shown)
    def join(app: str, sent: Shown) -> Response:
        return wire.answer(_joining(tracking.get(app), wire.shows_secrets(sent)))

    @takes(TasksQuery)
    def get_tasks(sent: TasksQuery) -> Response:
        source = tracking.source_of(sent.app) if sent.app else None
        page, gaps = tracking.find(sent.query(source))
        shown = {"tasks": [_task(each) for each in page.tasks]}
        after = cursor_text(page.after) if page.after else None
        return wire.answer({"data": shown, "after": after, "gaps": _gaps(gaps, source)})

    @takes(Nothing)
    def get_task(id: str, sent: Nothing) -> Response:
        task, children = tracking.one(id)
        return wire.answer({"data": {"task": _whole(task, children)}})

    Routes(noun, "/").reading("<app>/tracking/", join, HERE)
    routes = Routes(noun, "/api/tasks/")
    routes.reading("", get_tasks, Recorder())
    routes.reading("<id>/", get_task, Recorder())
    routes.only_synchronous()
    return noun


def _task(task: Tracked) -> dict[str, Any]:
    get = task.record.get
    return {
        "id": task.record.id,
        "source": task.source,
        "state": task.record.state,
        "lost": task.lost,
        "began_at": _moment(task.began_at / 1e6),
        "queue": get("routing_key"),
        **{name: get(name) for name in _SHOWN},
    }


def _whole(task: Tracked, children: Sequence[Tracked]) -> dict[str, Any]:
    states = {
        name: {"first": _moment(span.first), "last": _moment(span.last)}
        for name, span in sorted(task.record.states.items(), key=lambda each: each[1].first)
    }
    more = {name: task.record.get(name) for name in _MORE}
    return {**_task(task), "states": states, **more, "children": [_task(each) for each in children]}


def _gaps(gaps: Sequence[Gap], source: str | None) -> list[dict[str, Any]]:
    return [
        {
            "source": each.source,
            "what": each.what,
            "since": _moment(each.since),
            "until": _moment(each.until),
            "reason": each.reason,
        }
        for each in gaps
        if source in (None, each.source)
    ]


def _moment(at: float) -> str:
    return isoformat(datetime.fromtimestamp(at, UTC))


def _joining(found: Joining, secrets: bool) -> dict[str, Any]:
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
