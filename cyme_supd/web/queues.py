"""Queues over HTTP."""

from __future__ import annotations

from flask import Blueprint, Response

from cyme_supd.errors import Invalid
from cyme_supd.service import Service
from cyme_supd.web import wire
from cyme_supd.web.params import takes
from cyme_supd.web.paths import queue_name
from cyme_supd.web.routing import PUT_POST, Routes
from cyme_supd.web.schemas import Page, Purge, QueueDeletion, QueueEdit, Shown
from cyme_supd.web.scopes import HERE, Entry, Removal


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("queues", __name__)
    queues = service.queues

    @takes(Page)
    def names(app: str, sent: Page) -> Response:
        return wire.page(lambda after, limit: queues.names(app, after, limit), sent)

    @takes(Shown)
    def get(app: str, queue: str, sent: Shown) -> Response:
        found = queues.details(app, queue_name(queue))
        return wire.answer(wire.queue_details(found, wire.shows_secrets(sent)))

    @takes(QueueEdit)
    def put(app: str, queue: str, nowait: bool, sent: QueueEdit) -> Response:
        reply = queues.put(app, queue_name(queue), sent.given())
        body = wire.queue(reply.queue, wire.shows_secrets(sent))
        if reply.is_new:
            return wire.answer(body, 201)
        return wire.answer({**body, "restarting": list(reply.restarting)})

    @takes(QueueDeletion)
    def delete(app: str, queue: str, nowait: bool, sent: QueueDeletion) -> Response:
        name, purge = queue_name(queue), bool(sent.purge)
        outcome = queues.delete(app, name, None if nowait else sent.timeout_s, purge)
        return wire.changed(name, outcome, nowait)

    @takes(Purge)
    def purge(app: str, queue: str, nowait: bool, sent: Purge) -> Response:
        return wire.answer({"purged": queues.purge(app, queue_name(queue), sent.expect)})

    routes = Routes(noun, "/<app>/queues/")
    routes.reading("", names, HERE)
    routes.reading("<queue>/", get, HERE)
    routes.acting("<queue>/", put, PUT_POST, Entry("queue"))
    routes.acting("<queue>/", delete, ("DELETE",), Removal("queue"))
    routes.acting("<queue>/purge/", purge, ("POST",), HERE)
    routes.acting("", _refuse_all, ("DELETE",), HERE)
    routes.only_synchronous()
    return noun


def _refuse_all(app: str, nowait: bool) -> Response:
    raise Invalid(
        "queues are deleted one by one", "DELETE /<app>/queues/<name>/ forgets one declaration"
    )
