"""What nobody takes care of, over HTTP."""

from __future__ import annotations

from flask import Blueprint, Response

from cyme_supd.service import Service
from cyme_supd.web import gathering, wire
from cyme_supd.web.params import takes
from cyme_supd.web.routing import Routes
from cyme_supd.web.schemas import Nothing
from cyme_supd.web.scopes import Everyone


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("orphans", __name__)

    @takes(Nothing)
    def get(app: str, sent: Nothing) -> Response:
        return wire.answer(wire.orphans(service.orphans.find(app)))

    routes = Routes(noun, "/")
    routes.reading("<app>/orphans/", get, Everyone(gathering.orphans, on_host=True))
    return noun
