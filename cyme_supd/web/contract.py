"""The interface's own description: for programs, and as a page to read."""

from __future__ import annotations

from functools import cache, lru_cache

from flask import Blueprint, Flask, Response, current_app, request

from cyme_supd.resources import templates
from cyme_supd.service import Service
from cyme_supd.web import openapi, reading, wire
from cyme_supd.web.params import takes
from cyme_supd.web.routing import Routes
from cyme_supd.web.schemas import Nothing
from cyme_supd.web.scopes import HERE

#: Names and prefixes that a server is asked by.
MOST_ROOTS = 8
#: The page has nothing but text and one stylesheet of ours.
POLICY = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("contract", __name__)
    described = cache(openapi.document)

    # Neither ever changes, and both are long.
    @lru_cache(MOST_ROOTS)
    def document_below(app: Flask, prefix: str) -> bytes:
        return wire.encoded({**described(app), "servers": [{"url": prefix or "/"}]})

    @lru_cache(MOST_ROOTS)
    def page_at(app: Flask, root: str) -> str:
        return reading.page(described(app), root)

    @takes(Nothing)
    def document(sent: Nothing) -> Response:
        # Below the prefix that a proxy may have put before us.
        return Response(document_below(_app(), request.script_root), mimetype="application/json")

    @takes(Nothing)
    def page(sent: Nothing) -> Response:
        made = Response(page_at(_app(), request.url_root), mimetype="text/html")
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


def _app() -> Flask:
    return current_app._get_current_object()  # type: ignore[attr-defined, no-any-return]
