"""Plans over HTTP: what would be done about an application's workers."""

from __future__ import annotations

from flask import Blueprint, Response

from cyme_supd.service import Service
from cyme_supd.web import gathering, wire
from cyme_supd.web.params import takes
from cyme_supd.web.routing import Routes
from cyme_supd.web.schemas import Nothing
from cyme_supd.web.scopes import Everyone


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("plans", __name__)

    @takes(Nothing)
    def plan(app: str, sent: Nothing) -> Response:
        return wire.answer(wire.plan(service.plans.get(app)))

    Routes(noun, "/").reading("<app>/plan/", plan, Everyone(gathering.plan, on_host=True))
    return noun
