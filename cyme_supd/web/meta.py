"""Whether it is there, and whether it is well."""

from __future__ import annotations

from flask import Blueprint, Response, g

from cyme_supd.service import Service
from cyme_supd.web import wire
from cyme_supd.web.params import takes
from cyme_supd.web.routing import Routes
from cyme_supd.web.schemas import Nothing
from cyme_supd.web.scopes import HERE


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("meta", __name__)

    @takes(Nothing)
    def ping(sent: Nothing) -> Response:
        return wire.answer({"ok": "pong"})

    @takes(Nothing)
    def health(sent: Nothing) -> Response:
        return wire.health(service.health.check(), is_known_caller="role" in g)

    routes = Routes(noun, "/")
    routes.reading("ping/", ping, HERE)
    routes.reading("health/", health, HERE)
    return noun
