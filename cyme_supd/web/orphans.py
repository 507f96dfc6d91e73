"""What nobody takes care of, over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from flask import Blueprint, Response

from cyme_supd.service import Question, Service
from cyme_supd.service.fleet import READ_S
from cyme_supd.web import gathering, wire
from cyme_supd.web.forwarding import bodies, informed
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


#: What is told of where somebody did not answer, who might care.
_SOMEBODY = ("branch ", "broker ", "instance ")


def counted(service: Service, app: str) -> Mapping[str, int] | None:
    """How many there are of each kind, on all branches; ``None`` where that is not known.

    Without what somebody has paused.
    """
    here, fleet = wire.orphans(service.orphans.find(app)), service.fleet
    replies = informed(fleet.ask_all(Question("GET", f"/{quote(app)}/orphans/"), READ_S))
    found = gathering.orphans(here, bodies(replies.replies), replies.unknown)
    kinds = ("queues", "consumers", "tasks", "processes")
    counts = {kind: sum(not each.get("is_paused") for each in found[kind]) for kind in kinds}
    is_known = not any(each["what"].startswith(_SOMEBODY) for each in found["unknown"])
    return counts if is_known or any(counts.values()) else None
