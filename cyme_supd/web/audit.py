"""What was changed, over HTTP."""

from __future__ import annotations

from flask import Blueprint, Response

from cyme_supd.service import Service
from cyme_supd.web import gathering, wire
from cyme_supd.web.params import takes
from cyme_supd.web.routing import Routes
from cyme_supd.web.schemas import AuditQuery
from cyme_supd.web.scopes import Everyone


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("audit", __name__)

    @takes(AuditQuery)
    def find(sent: AuditQuery) -> Response:
        query = sent.query()
        return wire.answer(wire.audit(service.audit.find(query), query.limit))

    routes = Routes(noun, "/api/")
    routes.reading("audit/", find, Everyone(gathering.audit))
    return noun
