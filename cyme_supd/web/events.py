"""That something has changed, as it changes."""

from __future__ import annotations

import json
from collections.abc import Sequence

from flask import Blueprint, Response

from cyme_supd.domain.changes import Change
from cyme_supd.service import Service
from cyme_supd.web.params import takes
from cyme_supd.web.routing import Routes
from cyme_supd.web.schemas import Nothing
from cyme_supd.web.scopes import HERE
from cyme_supd.web.streaming import event, last_id, stream


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("events", __name__)

    @takes(Nothing)
    def listen(sent: Nothing) -> Response:
        place = last_id()

        def told() -> str:
            nonlocal place
            place, changes = service.watching.since(place)
            return _written(changes, place)

        return stream(service, told)

    Routes(noun, "/api/").reading("events/", listen, HERE)
    return noun


def _written(changes: Sequence[Change], place: str) -> str:
    """With the last of them whoever has got it has them all."""
    said = [json.dumps({"kind": each.kind, "app": each.app, "name": each.name}) for each in changes]
    last = len(said) - 1
    return "".join(
        event("change", each, place if number == last else "") for number, each in enumerate(said)
    )
