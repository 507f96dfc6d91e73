"""Where the pages are, and what every one of them comes with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from mimetypes import guess_type

from flask import Blueprint, Response, g, redirect, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from cyme_supd.clock import Clock
from cyme_supd.errors import CymeError, NotFound
from cyme_supd.resources import templates
from cyme_supd.web import errors
from cyme_supd.web.admin import (
    apps,
    branches,
    events,
    fleet,
    instances,
    jobs,
    queues,
    rendering,
    tasks,
    users,
)
from cyme_supd.web.admin.signing import failed, wants_page

Page = Callable[..., str]


def blueprint(clock: Clock) -> Blueprint:
    noun = Blueprint("admin", __name__, url_prefix="/admin")
    pages: Mapping[str, Page] = {
        "/": fleet.fleet,
        "/apps/": apps.apps,
        "/apps/<app>/": apps.app,
        "/apps/<app>/plan/": apps.plan,
        "/apps/<app>/orphans/": apps.orphans,
        "/branches/<id>/": branches.branch,
        "/instances/": instances.instances,
        "/instances/<app>/<name>/": instances.instance,
        "/queues/": queues.queues,
        "/queues/<app>/<queue>/": queues.queue,
        "/jobs/": jobs.jobs,
        "/jobs/<id>/": jobs.job,
        "/jobs/runs/": jobs.runs,
        "/jobs/runs/<id>/": jobs.run,
        "/tasks/": tasks.tasks,
        "/tasks/<id>/": tasks.task,
        "/tasks/errors/": tasks.errors,
        "/tasks/refusals/": tasks.refusals,
        "/decisions/": events.decisions,
        "/audit/": events.audit,
        "/users/": users.users,
    }
    for rule, page in pages.items():
        noun.add_url_rule(rule, page.__name__, _page(page, clock), methods=["GET"])
    noun.add_url_rule("/matching/", "matching", instances.matching, methods=["GET"])
    noun.add_url_rule("/static/<path:name>", "static", static, methods=["GET"])
    noun.before_app_request(_send_people_here)
    noun.register_error_handler(CymeError, failed)
    noun.app_errorhandler(HTTPException)(_of_http)
    return noun


def _of_http(error: HTTPException) -> AnyResponse:
    """What routing refuses; for people, where it would be a page's path."""
    told = errors.of_http(error)
    is_page = request.path.startswith("/admin/") and told.status_code < 500
    if not is_page or not wants_page():
        return told
    made = failed(errors.in_words(error))
    if "Allow" in told.headers:
        made.headers["Allow"] = told.headers["Allow"]
    return made


def _send_people_here() -> AnyResponse | None:
    if request.path == "/" and request.method == "GET":
        return redirect("admin/", 303) if wants_page() else None
    return None


def _page(page: Page, clock: Clock) -> Callable[..., Response]:
    def show(**path: str) -> Response:
        g.now = clock.now()
        text = page(**path)
        made = rendering.page(text)
        made.set_etag(rendering.tag_of(text), weak=True)
        made.make_conditional(request)
        return made

    show.__name__ = page.__name__
    return show


def static(name: str) -> Response:
    content = _files().get(name)
    if content is None:
        raise NotFound("there is no such file")
    made = Response(content, content_type=guess_type(name)[0] or "text/plain")
    # What a script imports is asked for without the sum of its content.
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
