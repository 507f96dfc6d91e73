"""Asks the interface from inside a request, for whoever that is of.

So a page shows what the interface answers: of the whole fleet, with the same
rights, and no second way to any of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from flask import Flask, Response, current_app, request

from cyme_supd.errors import NotFound
from cyme_supd.service import Question
from cyme_supd.web.forwarding import UNKNOWN, environ_of
from cyme_supd.web.paths import VIA, with_whole_segments

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: Of the request at hand: who it is of, and by which name it came.
_KEPT = (
    "HTTP_HOST",
    "HTTP_AUTHORIZATION",
    "HTTP_COOKIE",
    "HTTP_SEC_FETCH_MODE",
    "REMOTE_ADDR",
    "SERVER_NAME",
    "SERVER_PORT",
    "gunicorn.socket",
    "wsgi.url_scheme",
    VIA,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """``value`` is JSON, or text; of an error its ``error``. ``unknown`` names the
    branches that it is without."""

    status: int
    value: Any
    unknown: str = ""

    @property
    def is_ok(self) -> bool:
        return self.status < 400

    def data(self, key: str) -> list[dict[str, Any]]:
        """The list that the interface wraps; none where it could not be had."""
        return list(self.value["data"][key]) if self.is_ok else []


def ask(path: str, **query: Any) -> Answer:
    """What a GET of *path*, percent-encoded, is answered with."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    given = {name: value for name, value in query.items() if value not in (None, "")}
    environ = _environ(path, urlencode(given))
    # What this request notes of itself is not that one's.
    with app.app_context():
        made = Response.from_app(
            with_whole_segments(partial(Flask.wsgi_app, app)), environ, buffered=True
        )
    value = made.get_json() if made.is_json else made.get_data(as_text=True)
    return Answer(made.status_code, value, made.headers.get(UNKNOWN, ""))


def of_something(found: Answer) -> Answer:
    """*found*, unless that is that there is no such thing."""
    if found.status == 404:
        raise NotFound(found.value["error"]["message"], found.value["error"]["hint"])
    return found


def _environ(path: str, query: str) -> WSGIEnvironment:
    kept = {name: request.environ[name] for name in _KEPT if name in request.environ}
    return {**environ_of(Question("GET", path, query)), **kept}
