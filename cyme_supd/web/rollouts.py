"""Rolling restarts over HTTP."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response

from cyme_supd.service import Progress, Service
from cyme_supd.web import journal, wire
from cyme_supd.web.params import takes
from cyme_supd.web.routing import Routes
from cyme_supd.web.schemas import Nothing, Restart, Waiting


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("rollouts", __name__)
    rollouts = service.rollouts

    @takes(Nothing)
    def get(app: str, sent: Nothing) -> Response:
        return wire.answer(wire.rollout(rollouts.get(app)))

    @takes(Restart)
    def start(app: str, nowait: bool, sent: Restart) -> Response:
        return _stored(app, rollouts.start(app, sent.max_unavailable))

    def edit(act: Callable[[str], Progress]) -> Callable[..., Response]:
        @takes(Waiting)
        def edited(app: str, nowait: bool, sent: Waiting) -> Response:
            return _stored(app, act(app))

        return edited

    routes = Routes(noun, "/")
    routes.reading("<app>/restart/", get)
    routes.acting("<app>/restart/", start, ("POST",))
    routes.acting("<app>/restart/resume/", edit(rollouts.resume), ("POST",))
    routes.acting("<app>/restart/abort/", edit(rollouts.abort), ("POST",))
    return noun


def _stored(app: str, found: Progress) -> Response:
    journal.about(app)
    return wire.answer({"name": app, **wire.rollout(found)}, 202)
