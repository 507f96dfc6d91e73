"""What an instance does now, and what was, over HTTP."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from cyme_supd.clock import isoformat
from cyme_supd.domain.samples import Series
from cyme_supd.domain.transitions import Transition
from cyme_supd.service import Service
from cyme_supd.web import gathering, wire
from cyme_supd.web.params import takes
from cyme_supd.web.routing import Routes
from cyme_supd.web.schemas import HistoryQuery, SamplesQuery, Waiting
from cyme_supd.web.scopes import Everyone, Owner


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("history", __name__)

    @takes(SamplesQuery)
    def samples(sent: SamplesQuery) -> Response:
        return wire.answer(_series(service.history.samples(sent.subject(), sent.begin())))

    @takes(HistoryQuery)
    def changes(app: str, name: str, sent: HistoryQuery) -> Response:
        found = service.history.changes(app, name, sent.most)
        return wire.answer({"data": {"changes": [_change(each) for each in found]}})

    @takes(Waiting)
    def tasks(app: str, name: str, sent: Waiting) -> Response:
        found = service.instances.tasks(app, name, sent.timeout)
        return wire.answer({"data": {"tasks": [wire.running_task(each) for each in found]}})

    Routes(noun, "/api/").reading("samples/", samples, Everyone(gathering.samples))
    routes = Routes(noun, "/<app>/instances/", "/<app>/instance/")
    routes.reading("<name>/history/", changes, Owner())
    routes.reading("<name>/tasks/", tasks, Owner())
    return noun


def _series(found: Series) -> dict[str, Any]:
    return {"data": {name: list(values) for name, values in found.items()}}


def _change(change: Transition) -> dict[str, Any]:
    return {
        "at": isoformat(change.at),
        "state": change.state,
        "ready": change.ready,
        "consuming": change.consuming,
        "reason": change.reason,
    }
