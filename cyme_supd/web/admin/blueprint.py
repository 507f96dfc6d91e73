"""Where the pages are, and what every one of them comes with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from mimetypes import guess_type

from flask import Blueprint, Response, g, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from cyme_supd.clock import Clock
from cyme_supd.errors import CymeError, NotFound
from cyme_supd.resources import templates
from cyme_supd.web.admin import events, fleet, instances, queues
from cyme_supd.web.admin.rendering import render, tag_of
from cyme_supd.web.errors import headers_of

_CONTENT_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
Page = Callable[..., str]


def blueprint(clock: Clock) -> Blueprint:
    noun = Blueprint("admin", __name__, url_prefix="/admin")
    pages: Mapping[str, Page] = {
        "/": fleet.fleet,
        "/instances/": instances.instances,
        "/instances/<app>/<name>/": instances.instance,
        "/queues/": queues.queues,
        "/decisions/": events.decisions,
        "/audit/": events.audit,
    }
    for rule, page in pages.items():
        noun.add_url_rule(rule, page.__name__, _page(page, clock), methods=["GET"])
    noun.add_url_rule("/static/<path:name>", "static", static, methods=["GET"])
    noun.before_app_request(_send_people_here)
    noun.register_error_handler(CymeError, _failed)
    return noun


def _send_people_here() -> AnyResponse | None:
    if request.path == "/" and request.method == "GET":
        kinds = request.accept_mimetypes
        # curl and other programs take anything; a browser says that it wants a page.
        if "text/html" in kinds.values() and kinds["text/html"] >= kinds["application/json"]:
            return redirect("admin/", 303)
    return None


def _page(page: Page, clock: Clock) -> Callable[..., Response]:
    def show(**path: str) -> Response:
        g.now = clock.now()
        text = page(**path)
        made = Response(text, content_type="text/html; charset=utf-8")
        made.set_etag(tag_of(text), weak=True)
        made.make_conditional(request)
        made.headers["Content-Security-Policy"] = _CONTENT_SECURITY
        return made

    show.__name__ = page.__name__
    return show


def _failed(error: CymeError) -> Response:
    """For people, too: it may come before anybody knows who they are."""
    made = Response(render("failed", (), error=error), error.http, mimetype="text/html")
    made.headers["Content-Security-Policy"] = _CONTENT_SECURITY
    made.headers.extend(headers_of(error))
    return made


def static(name: str) -> Response:
    content = _files().get(name)
    if content is None:
        raise NotFound("there is no such file")
    made = Response(content, content_type=guess_type(name)[0] or "text/plain")
    # What a script imports has no digest in its name.
    is_named = bool(request.query_string)
    made.headers["Cache-Control"] = "private, max-age=3600" if is_named else "private, no-cache"
    made.add_etag()
    made.make_conditional(request)
    return made


@cache
def _files() -> dict[str, bytes]:
    folder = templates("admin").joinpath("static")
    found = {f"vendor/{each.name}": each for each in folder.joinpath("vendor").iterdir()}
    found |= {each.name: each for each in folder.iterdir() if each.is_file()}
    return {name: each.read_bytes() for name, each in found.items()}
