"""Branches over HTTP."""

from __future__ import annotations

from flask import Blueprint, Response

from cyme_supd.errors import Invalid
from cyme_supd.service import Service
from cyme_supd.web import journal, wire
from cyme_supd.web.params import takes
from cyme_supd.web.routing import Routes
from cyme_supd.web.schemas import Change, Draining, Nothing, Page
from cyme_supd.web.scopes import HERE, OneBranch


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("branches", __name__)
    branches = service.branches

    @takes(Page)
    def names(sent: Page) -> Response:
        return wire.page(branches.names, sent)

    @takes(Nothing)
    def get(id: str, sent: Nothing) -> Response:
        return wire.answer(wire.branch(branches.get(id)))

    @takes(Draining)
    def drain(id: str, nowait: bool, sent: Draining) -> Response:
        if sent.move and sent.dry_run:
            raise Invalid(
                "dry_run: where instances would go is decided one by one",
                "GET /branches/<id>/ says how many it has; leave move out",
            )
        found = branches.drain(id, True, has_to_move=bool(sent.move))
        journal.about(id)
        return wire.answer(wire.branch(found))

    @takes(Change)
    def undrain(id: str, nowait: bool, sent: Change) -> Response:
        found = branches.drain(id, False)
        journal.about(id)
        return wire.answer(wire.branch(found))

    routes = Routes(noun, "/branches/")
    routes.reading("", names, HERE)
    routes.reading("<id>/", get, HERE)
    routes.acting("<id>/drain/", drain, ("POST",), OneBranch())
    routes.acting("<id>/undrain/", undrain, ("POST",), OneBranch())
    routes.only_synchronous()
    return noun
