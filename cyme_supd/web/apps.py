"""Applications over HTTP."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response

from cyme_supd.service import Outcome, Service
from cyme_supd.web import gathering, journal, wire
from cyme_supd.web.params import takes
from cyme_supd.web.routing import PUT_POST, Routes
from cyme_supd.web.schemas import AppEdit, Change, Deletion, Page, Shown
from cyme_supd.web.scopes import HERE, All, Entry, Everyone, Removal


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("apps", __name__)
    apps = service.apps

    @takes(Page)
    def names(sent: Page) -> Response:
        return wire.page(apps.names, sent)

    @takes(Shown)
    def get(app: str, sent: Shown) -> Response:
        return wire.answer(wire.app(apps.get(app), wire.shows_secrets(sent)))

    @takes(AppEdit)
    def put(app: str, nowait: bool, sent: AppEdit) -> Response:
        reply = apps.put(app, sent.given())
        journal.about(app)
        body = wire.app(reply.details, wire.shows_secrets(sent))
        if reply.is_new:
            return wire.answer(body, 201)
        return wire.answer({**body, "restarting": list(reply.restarting)})

    @takes(Deletion)
    def delete(app: str, nowait: bool, sent: Deletion) -> Response:
        outcome = apps.delete(app, bool(sent.force), None if nowait else sent.timeout_s)
        return _settled(app, outcome, nowait)

    def switch(act: Callable[[str, float | None], Outcome]) -> Callable[..., Response]:
        @takes(Change)
        def switched(app: str, nowait: bool, sent: Change) -> Response:
            outcome = act(app, None if nowait else sent.timeout_s)
            return _settled(app, outcome, nowait)

        return switched

    routes = Routes(noun, "/")
    routes.reading("", names, HERE)
    routes.reading("<app>/", get, Everyone(gathering.app))
    routes.acting("<app>/", put, PUT_POST, Entry())
    routes.acting("<app>/", delete, ("DELETE",), Removal())
    routes.acting("<app>/start/", switch(apps.start), ("POST",), All())
    routes.acting("<app>/stop/", switch(apps.stop), ("POST",), All())
    routes.only_synchronous()
    return noun


def _settled(app: str, outcome: Outcome, nowait: bool) -> Response:
    journal.about(app)
    if nowait and not outcome.is_converged:
        return wire.accepted(app)
    body = wire.OK if outcome.is_converged else {"name": app}
    return wire.settled(body, outcome)
