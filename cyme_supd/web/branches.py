"""Branches over HTTP."""

from __future__ import annotations

from flask import Blueprint, Response

from cyme_supd.service import Service
from cyme_supd.web import wire
from cyme_supd.web.params import takes
from cyme_supd.web.routing import Routes
from cyme_supd.web.schemas import Nothing, Page


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("branches", __name__)
    branches = service.branches

    @takes(Page)
    def names(sent: Page) -> Response:
        return wire.page(branches.names, sent)

    @takes(Nothing)
    def get(id: str, sent: Nothing) -> Response:
        return wire.answer(wire.branch(branches.get(id)))

    routes = Routes(noun, "/branches/")
    routes.reading("", names)
    routes.reading("<id>/", get)
    routes.only_synchronous()
    return noun
