"""What instances consume from, over HTTP."""

from __future__ import annotations

from flask import Blueprint, Response

from cyme_supd.service import Service
from cyme_supd.web import journal, wire
from cyme_supd.web.params import takes
from cyme_supd.web.paths import queue_name
from cyme_supd.web.routing import PUT_POST, Routes
from cyme_supd.web.schemas import Change, Shown
from cyme_supd.web.scopes import Owner


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("consumers", __name__)
    consumers = service.consumers

    @takes(Shown)
    def consumed(app: str, name: str, sent: Shown) -> Response:
        found = consumers.list(app, name)
        return wire.answer(wire.consumed(found, wire.shows_secrets(sent)))

    @takes(Change)
    def add(app: str, name: str, queue: str, nowait: bool, sent: Change) -> Response:
        wanted = queue_name(queue)
        outcome, is_new = consumers.add(app, name, wanted, None if nowait else sent.timeout_s)
        journal.about(name)
        return wire.changed(wanted, outcome, nowait, 201 if is_new else 200)

    @takes(Change)
    def delete(app: str, name: str, queue: str, nowait: bool, sent: Change) -> Response:
        unwanted = queue_name(queue)
        outcome = consumers.delete(app, name, unwanted, None if nowait else sent.timeout_s)
        journal.about(name)
        return wire.changed(unwanted, outcome, nowait)

    routes = Routes(noun, "/<app>/instances/", "/<app>/instance/")
    routes.reading("<name>/queues/", consumed, Owner())
    routes.acting("<name>/queues/<queue>/", add, PUT_POST, Owner())
    routes.acting("<name>/queues/<queue>/", delete, ("DELETE",), Owner())
    return noun
