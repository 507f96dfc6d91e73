"""Makes a page of a template and of what was answered."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import urlencode

from flask import g, request
from jinja2 import Environment, FunctionLoader, StrictUndefined

from cyme_supd import __version__
from cyme_supd.domain.access import Role
from cyme_supd.domain.attention import LEVELS
from cyme_supd.resources import templates
from cyme_supd.web.admin.inner import Answer

#: Rows on a page; the whole of a large fleet is no page.
ROWS = 100


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
    made.globals.update(version=__version__, levels=LEVELS, static=_static_url)
    made.globals.update(query=_query, samples_query=_samples_query)
    made.filters.update(ago=_ago, short=_short, span=_span)
    return made


def _static_url(name: str) -> str:
    content = templates("admin").joinpath("static", name).read_bytes()
    return f"{request.script_root}/admin/static/{name}?{hashlib.sha256(content).hexdigest()[:8]}"


def _query(**changes: Any) -> str:
    """The query of the page at hand, with these changes."""
    return "?" + urlencode({**request.args.to_dict(), **changes})


def _samples_query(**subject: str) -> str:
    given = {name: value for name, value in subject.items() if value}
    return f"?{urlencode(given)}" if given else ""


def _ago(text: str | None) -> str:
    """How long ago that was, roughly: ``12 s``, ``5 min``, ``3 h``, ``2 d``."""
    if not text:
        return ""
    return _span((g.now - datetime.fromisoformat(text)).total_seconds())


def _span(seconds: float | None) -> str:
    """The same of so many seconds."""
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
    return "none" if value in (None, {}, "") else str(value)
