"""Queueing URLs, and asking about the tasks they became, over HTTP."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from cyme_supd.domain.masking import masked_url
from cyme_supd.domain.task import METHODS
from cyme_supd.errors import NotFound
from cyme_supd.service import Service, TaskView
from cyme_supd.web import wire
from cyme_supd.web.batches import read_batch
from cyme_supd.web.params import read_query, takes
from cyme_supd.web.paths import queue_name
from cyme_supd.web.queueing import read_data
from cyme_supd.web.routing import Routes
from cyme_supd.web.schemas import Nothing, Waiting
from cyme_supd.web.scopes import Someone


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("tasks", __name__)
    _add_queueing(noun, service)
    _add_asking(noun, service)
    return noun


def _add_queueing(noun: Blueprint, service: Service) -> None:
    tasks = service.tasks

    def queue_url(app: str, queue: str, rest: str) -> Response:
        # Those that name one never come here: see Queueing.
        raise NotFound("there is no such route", "only the queue's name may be percent-encoded")

    def queue_batch(app: str, queue: str) -> Response:
        name = queue_name(queue)
        read_query(Nothing)
        ids = tasks.queue_all(app, name, read_batch(read_data(request.environ), request.mimetype))
        return wire.answer({"uuids": ids}, 202)

    for collection in ("/<app>/queue/", "/<app>/queue/!/"):
        noun.add_url_rule(
            f"{collection}<queue>/<path:rest>",
            f"queue_url {collection}".replace(".", ""),
            queue_url,
            methods=list(METHODS),
            provide_automatic_options=False,
        )
        noun.add_url_rule(
            f"{collection}<queue>/",
            f"queue_batch {collection}".replace(".", ""),
            queue_batch,
            methods=["POST", "PUT"],
        )


def _add_asking(noun: Blueprint, service: Service) -> None:
    tasks = service.tasks

    @takes(Nothing)
    def state(app: str, id: str, sent: Nothing) -> Response:
        return wire.answer({"state": tasks.get(app, id).state})

    @takes(Nothing)
    def result(app: str, id: str, sent: Nothing) -> Response:
        return _shown(tasks.get(app, id))

    @takes(Waiting)
    def wait(app: str, id: str, sent: Waiting) -> Response:
        return _shown(tasks.wait(app, id, sent.timeout_s))

    routes = Routes(noun, "/<app>/query/")
    routes.reading("<id>/state/", state, Someone())
    routes.reading("<id>/result/", result, Someone())
    routes.reading("<id>/wait/", wait, Someone())
    routes.only_synchronous()


def _shown(seen: TaskView) -> Response:
    result = seen.result
    if isinstance(result, dict) and isinstance(result.get("url"), str):
        result = {**result, "url": masked_url(result["url"])}
    body: dict[str, Any] = {"state": seen.state, "result": result}
    if seen.error is not None:
        body["error"] = seen.error
    return wire.answer(body)
