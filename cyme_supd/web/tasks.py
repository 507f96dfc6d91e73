"""Queueing URLs, and asking about the tasks they became, over HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from flask import Blueprint, Response, request

from cyme_supd.domain.task import (
    MAX_DATA,
    METHODS,
    UrlRequest,
    check_headers,
    check_method,
)
from cyme_supd.errors import NotFound, TooLarge
from cyme_supd.service import Service, TaskView
from cyme_supd.web import wire
from cyme_supd.web.batches import read_batch
from cyme_supd.web.params import read_query, takes
from cyme_supd.web.paths import TARGET, queue_name
from cyme_supd.web.routing import Routes
from cyme_supd.web.schemas import Nothing, Waiting

_FORWARD = "HTTP_X_FORWARD_"


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("tasks", __name__)
    _add_queueing(noun, service)
    _add_asking(noun, service)
    return noun


def _add_queueing(noun: Blueprint, service: Service) -> None:
    tasks = service.tasks

    def queue_url(app: str, queue: str, rest: str) -> Response:
        name = queue_name(queue)
        wanted = _request()
        id = tasks.queue(app, name, wanted)
        return _accepted(app, name, id, wanted)

    def queue_batch(app: str, queue: str) -> Response:
        name = queue_name(queue)
        read_query(Nothing)
        ids = tasks.queue_all(app, name, read_batch(_body(), request.mimetype))
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
    routes.reading("<id>/state/", state)
    routes.reading("<id>/result/", result)
    routes.reading("<id>/wait/", wait)
    routes.only_synchronous()


def _request() -> UrlRequest:
    """The request that the one at hand describes: its verb, its body, its target."""
    if TARGET not in request.environ:
        raise NotFound("there is no such route", "only the queue's name may be percent-encoded")
    # A server hands headers over as Latin-1.
    headers = list(_forwarded(request.environ))
    kind = request.environ.get("CONTENT_TYPE", "")
    if kind and not any(name == "Content-Type" for name, _ in headers):
        headers.append(("Content-Type", kind))
    url, checked = request.environ[TARGET], check_headers(headers)
    return UrlRequest(check_method(request.method), url, checked, _body())


def _body() -> bytes:
    request.max_content_length = MAX_DATA + 1
    body = request.get_data(cache=False)
    if len(body) > MAX_DATA:
        raise TooLarge("the data is too large", f"{MAX_DATA // 2**20} MiB is the most")
    return body


def _forwarded(environ: dict[str, Any]) -> Iterable[tuple[str, str]]:
    for key, value in environ.items():
        if key.startswith(_FORWARD):
            yield "-".join(key[len(_FORWARD) :].split("_")).title(), value


def _accepted(app: str, queue: str, id: str, wanted: UrlRequest) -> Response:
    params: dict[str, Any] = {}
    for name, value in parse_qsl(urlsplit(wanted.url).query, keep_blank_values=True):
        known = params.get(name)
        params[name] = value if known is None else [*_listed(known), value]
    body = {
        "uuid": id,
        "url": wire.masked_url(wanted.url),
        "queue": queue,
        "method": wanted.method,
        "params": wire.masked(params),
    }
    response = wire.answer(body, 202)
    # Below the prefix that a proxy may have put before us.
    response.headers["Location"] = f"{request.script_root}/{quote(app)}/query/{id}/state/"
    return response


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _shown(seen: TaskView) -> Response:
    result = seen.result
    if isinstance(result, dict) and isinstance(result.get("url"), str):
        result = {**result, "url": wire.masked_url(result["url"])}
    body: dict[str, Any] = {"state": seen.state, "result": result}
    if seen.error is not None:
        body["error"] = seen.error
    return wire.answer(body)
