"""What was changed, over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response

from cyme_supd.clock import isoformat
from cyme_supd.domain.audit import Event
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
        return wire.answer(_shown(service.audit.find(query), query.limit))

    routes = Routes(noun, "/api/")
    routes.reading("audit/", find, Everyone(gathering.audit))
    return noun


def _shown(events: Sequence[Event], limit: int) -> dict[str, Any]:
    """The newest first, ``limit`` of them at most."""
    return {"data": {"events": [_event(each) for each in events], "limit": limit}}


def _event(event: Event) -> dict[str, Any]:
    return {
        "at": isoformat(event.at),
        "actor": event.actor.name,
        "address": event.actor.address,
        "agent": event.actor.agent,
        "branch": event.branch,
        "verb": event.verb,
        "kind": event.kind,
        "app": event.app,
        "name": event.name,
        "before": event.before,
        "after": event.after,
    }
