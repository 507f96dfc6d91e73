"""Rolling restarts over HTTP."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response

from cyme_supd.service import Progress, Service
from cyme_supd.web import gathering, journal, wire
from cyme_supd.web.params import takes
from cyme_supd.web.routing import Routes
from cyme_supd.web.schemas import Change, Nothing, Restart
from cyme_supd.web.scopes import Everyone, Rolling


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
        @takes(Change)
        def edited(app: str, nowait: bool, sent: Change) -> Response:
            return _stored(app, act(app))

        return edited

    routes = Routes(noun, "/")
    routes.reading("<app>/restart/", get, Everyone(gathering.rollout))
    routes.acting("<app>/restart/", start, ("POST",), Rolling(begins=True))
    routes.acting("<app>/restart/resume/", edit(rollouts.resume), ("POST",), Rolling())
    routes.acting("<app>/restart/abort/", edit(rollouts.abort), ("POST",), Rolling())
    return noun


def _stored(app: str, found: Progress) -> Response:
    journal.about(app)
    return wire.answer({"name": app, **wire.rollout(found)}, 202)
