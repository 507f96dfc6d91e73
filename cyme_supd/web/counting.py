"""Counting what is asked of the web, by route, method and status."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, request

from cyme_supd.domain.metrics import DURATIONS, REQUESTS
from cyme_supd.domain.task import METHODS
from cyme_supd.metrics import Metrics
from cyme_supd.web.paths import FORWARDED

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: In the environment of a request: its route, as it is declared.
ROUTE = "cyme.route"
NO_ROUTE = "none"
OTHER = "other"


def install(app: Flask) -> None:
    """Have requests bear their route, also those that are refused."""

    @app.before_request
    def name() -> None:
        if request.url_rule is not None:
            request.environ[ROUTE] = request.url_rule.rule


class Counting:
    """*wsgi*, whose answers are counted when they begin; not those to other branches,
    which are counted where a client has asked."""

    def __init__(self, wsgi: WSGIApplication, metrics: Metrics) -> None:
        self._wsgi = wsgi
        self._metrics = metrics

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if FORWARDED in environ:
            return self._wsgi(environ, start_response)
        # Not one that a client sent as a header would be called.
        environ.pop(ROUTE, None)
        begun_at = time.monotonic()

        def begin(status: str, headers: list[tuple[str, str]], *exc: Any) -> Any:
            self._note(environ, status, time.monotonic() - begun_at)
            return start_response(status, headers, *exc)

        return self._wsgi(environ, begin)

    def _note(self, environ: WSGIEnvironment, status: str, seconds: float) -> None:
        route = environ.get(ROUTE, NO_ROUTE)
        method = environ["REQUEST_METHOD"]
        self._metrics.count(REQUESTS, route, method if method in METHODS else OTHER, status[:3])
        self._metrics.time(DURATIONS, seconds, route)
