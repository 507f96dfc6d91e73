"""The pages under ``/admin/``: what the interface answers, for people."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from mimetypes import guess_type
from typing import Any
from urllib.parse import quote, urlencode

from flask import Blueprint, Response, g, redirect, request
from jinja2 import Environment, FunctionLoader, StrictUndefined
from werkzeug.wrappers import Response as AnyResponse

from cyme_supd import __version__
from cyme_supd.clock import Clock
from cyme_supd.domain.access import Role
from cyme_supd.domain.attention import HELD, LEVELS, OFF, WELL, worst
from cyme_supd.errors import CymeError, NotFound
from cyme_supd.resources import templates
from cyme_supd.web.errors import headers_of
from cyme_supd.web.inner import Answer, ask

#: Rows on a page; the whole of a large fleet is no page.
ROWS = 100
EVENTS = 50
LOG_BYTES = 8192
_CONTENT_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_STATIC = ("admin.css", "admin.js")
Page = Callable[..., str]
_QUIET = (WELL, OFF, HELD)


def blueprint(clock: Clock) -> Blueprint:
    noun = Blueprint("admin", __name__, url_prefix="/admin")
    pages: Mapping[str, Page] = {
        "/": fleet,
        "/instances/": instances,
        "/instances/<app>/<name>/": instance,
        "/queues/": queues,
        "/decisions/": decisions,
        "/audit/": audit,
    }
    for rule, page in pages.items():
        noun.add_url_rule(rule, page.__name__, _page(page, clock), methods=["GET"])
    noun.add_url_rule("/static/<name>", "static", static, methods=["GET"])
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
        made = Response(page(**path), content_type="text/html; charset=utf-8")
        made.headers["Content-Security-Policy"] = _CONTENT_SECURITY
        return made

    show.__name__ = page.__name__
    return show


def _failed(error: CymeError) -> Response:
    """For people, too: it may come before anybody knows who they are."""
    made = Response(_render("failed", (), error=error), error.http, mimetype="text/html")
    made.headers["Content-Security-Policy"] = _CONTENT_SECURITY
    made.headers.extend(headers_of(error))
    return made


def static(name: str) -> Response:
    if name not in _STATIC:
        raise NotFound("there is no such file")
    content = templates("admin").joinpath("static", name).read_bytes()
    made = Response(content, content_type=guess_type(name)[0] or "text/plain")
    made.headers["Cache-Control"] = "private, max-age=3600"
    return made


# Each shows what it asked; the templates do the rest.


def fleet() -> str:
    seen, found = ask("/api/overview/"), ask("/branches/")
    branches = [ask(f"/branches/{quote(id)}/").value for id in _value(found, [])]
    rows = _instances(seen)
    return _render(
        "fleet",
        answers=(seen, found),
        health=ask("/health/").value,
        branches=branches,
        counts=Counter(each["level"] for each in rows),
        worst=worst(each["level"] for each in rows),
        first=[each for each in rows if each["level"] not in _QUIET][:ROWS],
        apps=_apps(seen, rows),
    )


def instances() -> str:
    """Narrowed by ``app``, ``level`` and ``q``; ``page`` counts from 1."""
    seen = ask("/api/overview/")
    rows = [each for each in _instances(seen) if _is_wanted(each)]
    number = max(1, request.args.get("page", 1, type=int))
    return _render(
        "instances",
        answers=(seen,),
        rows=rows[(number - 1) * ROWS : number * ROWS],
        count=len(rows),
        number=number,
        last=max(1, -(-len(rows) // ROWS)),
        apps=[each["name"] for each in _data(seen, "apps")],
    )


def instance(app: str, name: str) -> str:
    place = f"/{quote(app)}/instances/{quote(name)}/"
    found = ask(place)
    if found.status == 404:
        raise NotFound(found.value["error"]["message"])
    return _render(
        "instance",
        answers=(found,),
        app=app,
        name=name,
        place=place,
        found=found.value,
        log=ask(f"{place}log/", bytes=LOG_BYTES),
        events=_data(ask("/api/audit/", app=app, name=name, limit=EVENTS), "events"),
    )


def queues() -> str:
    seen = ask("/api/overview/")
    listed = _data(seen, "queues")[:ROWS]
    rows = [
        ask(f"/{quote(each['app'])}/queues/{quote(each['name'], safe='')}/").value | each
        for each in listed
    ]
    return _render("queues", answers=(seen,), rows=rows, count=len(_data(seen, "queues")))


def decisions() -> str:
    return _events("decisions", verb="act")


def audit() -> str:
    return _events("audit", verb=request.args.get("verb"))


def _events(page: str, verb: str | None) -> str:
    wanted = {name: request.args.get(name) for name in ("app", "name", "kind", "q", "before")}
    found = ask("/api/audit/", **wanted, verb=verb, limit=ROWS)
    return _render(page, answers=(found,), events=_data(found, "events"), most=ROWS)


def _is_wanted(row: Mapping[str, Any]) -> bool:
    said = request.args
    text = said.get("q", "").lower()
    return (
        said.get("app", row["app"]) in (row["app"], "")
        and said.get("level", row["level"]) in (row["level"], "")
        and any(text in str(row[key]).lower() for key in ("name", "app", "branch", "queues"))
    )


def _apps(seen: Answer, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    theirs: dict[str, list[str]] = {each["name"]: [] for each in _data(seen, "apps")}
    for row in rows:
        theirs.setdefault(row["app"], []).append(row["level"])
    return [
        {"name": name, "count": len(levels), "worst": worst(levels), "counts": Counter(levels)}
        for name, levels in sorted(theirs.items())
    ]


def _instances(seen: Answer) -> list[dict[str, Any]]:
    return _data(seen, "instances")


def _data(answer: Answer, key: str) -> list[dict[str, Any]]:
    return list(answer.value["data"][key]) if answer.is_ok else []


def _value(answer: Answer, otherwise: Any) -> Any:
    return answer.value if answer.is_ok else otherwise


# Templates


def _render(page: str, answers: Sequence[Answer], **values: Any) -> str:
    failed = [each.value["error"] for each in answers if not each.is_ok]
    unknown = sorted({each.unknown for each in answers if each.unknown})
    return (
        _environment()
        .get_template(f"{page}.html")
        .render(
            page=page,
            root=request.script_root,
            failed=failed,
            unknown=unknown,
            args=request.args,
            origin=request.host_url.rstrip("/"),
            may_act=g.get("role", Role.VIEWER).covers(Role.OPERATOR),
            **values,
        )
    )


@cache
def _environment() -> Environment:
    folder = templates("admin")
    made = Environment(
        loader=FunctionLoader(lambda name: folder.joinpath(name).read_text("utf-8")),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(version=__version__, levels=LEVELS, static=_static_url, query=_query)
    made.filters.update(ago=_ago, short=_short)
    return made


def _static_url(name: str) -> str:
    content = templates("admin").joinpath("static", name).read_bytes()
    return f"{request.script_root}/admin/static/{name}?{hashlib.sha256(content).hexdigest()[:8]}"


def _query(**changes: Any) -> str:
    """The query of the page at hand, with these changes."""
    return "?" + urlencode({**request.args.to_dict(), **changes})


def _ago(text: str | None) -> str:
    """How long ago that was, roughly: ``12 s``, ``5 min``, ``3 h``, ``2 d``."""
    if not text:
        return ""
    seconds = max(0.0, (g.now - datetime.fromisoformat(text)).total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _short(value: Any) -> str:
    """A value of an event in one line."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value in (None, {}, "") else str(value)
