"""The interface's own description: for programs, and as a page to read."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from flask import Blueprint, Flask, Response, current_app, request

from cyme_supd.resources import templates
from cyme_supd.service import Service
from cyme_supd.web import openapi, reading, wire
from cyme_supd.web.params import takes
from cyme_supd.web.routing import Routes
from cyme_supd.web.schemas import Nothing
from cyme_supd.web.scopes import HERE

#: The page has nothing but text and one stylesheet of ours.
POLICY = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("contract", __name__)
    described = _described()

    @takes(Nothing)
    def document(sent: Nothing) -> Response:
        made = described(_app())
        # Below the prefix that a proxy may have put before us.
        return wire.answer({**made, "servers": [{"url": request.script_root or "/"}]})

    @takes(Nothing)
    def page(sent: Nothing) -> Response:
        made = Response(reading.page(described(_app()), request.url_root), mimetype="text/html")
        made.headers["Content-Security-Policy"] = POLICY
        return made

    @takes(Nothing)
    def stylesheet(sent: Nothing) -> Response:
        return Response(templates("web").joinpath("docs.css").read_bytes(), mimetype="text/css")

    routes = Routes(noun, "/api/")
    routes.reading("openapi.json", document, HERE)
    routes.reading("docs", page, HERE)
    routes.reading("docs.css", stylesheet, HERE)
    return noun


def _described() -> Callable[[Flask], dict[str, Any]]:
    """The document of an app, which is made once."""
    return cache(openapi.document)


def _app() -> Flask:
    return current_app._get_current_object()  # type: ignore[attr-defined, no-any-return]
