"""Makes a page of a template and of what was answered."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from flask import Response, current_app, g, request
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from werkzeug.exceptions import HTTPException

from cyme_supd import __version__
from cyme_supd.domain.access import Role, needed
from cyme_supd.domain.attention import LEVELS
from cyme_supd.resources import templates
from cyme_supd.service.access import ANYBODY
from cyme_supd.web.admin.inner import Answer

#: The pages that the others lead from, in the order that they are shown: path and words.
MENU = (
    ("", "Fleet"),
    ("apps/", "Apps"),
    ("instances/", "Instances"),
    ("queues/", "Queues"),
    ("jobs/", "Jobs"),
    ("tasks/", "Tasks"),
    ("decisions/", "Decisions"),
    ("audit/", "Audit"),
    ("users/", "Users"),
)
#: Rows on a page; the whole of a large fleet is no page.
ROWS = 100
_AGE = re.compile("(<time [^>]*data-(?:age|ahead)>)[^<]*")

_CONTENT_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def page(text: str, status: int = 200) -> Response:
    made = Response(text, status, content_type="text/html; charset=utf-8")
    made.headers["Content-Security-Policy"] = _CONTENT_SECURITY
    # With less a browser does not say that a form of ours is ours.
    made.headers["Referrer-Policy"] = "same-origin"
    return made


def render(page: str, answers: Sequence[Answer], **values: Any) -> str:
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
            menu=[(path, words) for path, words in MENU if _may("GET", f"/admin/{path}")],
            here=request.path.removeprefix("/admin/"),
            caller=g.get("caller"),
            is_anybody=g.get("caller") is ANYBODY,
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
    made.globals.update(
        version=__version__, levels=LEVELS, static=_static_url, query=_query, may=_may
    )
    made.globals.update(samples_query=_samples_query)
    made.filters.update(
        ago=_ago, ahead=_ahead, short=_short, span=_span, took=_took, moment=_moment
    )
    made.filters.update(segment=segment, shell=shlex.join, table=_table)
    return made


def _may(method: str, path: str) -> bool:
    """Whether who asks may do that: by the rules that the interface itself goes by."""
    urls = current_app.url_map.bind("")
    role: Role = g.get("role", Role.VIEWER)
    try:
        rule, _ = urls.match(path.partition("?")[0], method, return_rule=True)
        return role.covers(needed(method, rule.rule))
    except (HTTPException, LookupError):
        return False


def segment(name: str) -> str:
    """*name* as one segment of a path."""
    return quote(name, safe="").replace("!", "%21")


def _table(value: Any) -> str:
    """An object as somebody may edit it; empty for none."""
    return json.dumps(value, ensure_ascii=False, indent=2) if value else ""


def _static_url(name: str) -> str:
    content = templates("admin").joinpath("static", name).read_bytes()
    return f"{request.script_root}/admin/static/{name}?{hashlib.sha256(content).hexdigest()[:8]}"


def _query(**changes: Any) -> str:
    """The query of the page at hand, with these changes."""
    return "?" + urlencode({**request.args.to_dict(), **changes})


def tag_of(page: str) -> str:
    """The same of a page that is only older: a script tells ages as they pass."""
    return hashlib.sha256(_AGE.sub(r"\1", page).encode()).hexdigest()[:32]


def _ago(text: str | None) -> Markup:
    """A ``<time>`` with how long ago that was."""
    made = Markup('<time datetime="{0}" title="{0}" data-age>{1}</time>')
    if not text:
        return Markup()
    return made.format(text, _span((g.now - datetime.fromisoformat(text)).total_seconds()))


def _ahead(text: str | None) -> Markup:
    """A ``<time>`` with how long until then."""
    made = Markup('<time datetime="{0}" title="{0}" data-ahead>{1}</time>')
    if not text:
        return Markup()
    seconds = (datetime.fromisoformat(text) - g.now).total_seconds()
    return made.format(text, f"in {_span(seconds)}" if seconds > 0 else "due")


def _moment(text: str) -> str:
    """A time, without what of it is nothing: ``2027-01-01 02:30:00``."""
    at = datetime.fromisoformat(text).replace(tzinfo=None)
    return at.isoformat(" ", "milliseconds" if at.microsecond else "seconds")


def _took(run: Mapping[str, Any]) -> str:
    """Of a run that has ended, as exactly as somebody wants to know it."""
    begun, ended = (datetime.fromisoformat(run[key]) for key in ("started_at", "finished_at"))
    seconds = max(0.0, (ended - begun).total_seconds())
    return f"{seconds:.1f} s" if seconds < 60 else _span(seconds)


def _samples_query(**subject: str) -> str:
    given = {name: value for name, value in subject.items() if value}
    return f"?{urlencode(given)}" if given else ""


def _span(seconds: float | None) -> str:
    """Roughly: ``12 s``, ``5 min``, ``3 h``, ``2 d``."""
    if seconds is None:
        return "not known"
    seconds = max(0.0, seconds)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _short(value: Any) -> str:
    """A value of an event in one line."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, dict) and value:
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value in (None, {}, "") else str(value)
