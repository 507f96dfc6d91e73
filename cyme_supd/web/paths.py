"""Paths whose segments may hold any character, a slash too."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from cyme_supd.errors import Invalid

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_KEPT = {"%25": "%", "%2F": "/", "%21": "!"}


def with_whole_segments(wsgi: WSGIApplication) -> WSGIApplication:
    """*wsgi*, which gets the names of queues as one segment each.

    A server hands the path over decoded, in which an encoded slash is like
    any other. Where queues are named, what would change the route stays
    encoded; :func:`queue_name` decodes it.
    """

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if "/queues/" in environ.get("PATH_INFO", ""):
            environ["PATH_INFO"] = "/".join(_segment(part) for part in _parts(environ))
        return wsgi(environ, start_response)

    return call


def queue_name(segment: str) -> str:
    """The name that a *segment* of such a path stands for."""
    if "\ufffd" in segment:
        raise Invalid("the queue's name in the path is not UTF-8")
    return re.sub("%25|%2F|%21", lambda found: _KEPT[found[0]], segment)


def _parts(environ: WSGIEnvironment) -> list[tuple[str, str]]:
    """Each segment of the path, encoded and decoded."""
    path = environ["PATH_INFO"]
    raw = str(environ.get("RAW_URI", "")).partition("?")[0]
    parts = [(part, _decoded(part)) for part in raw.split("/")]
    if "/".join(plain for _, plain in parts) != path:
        # Not the path as it was sent: a prefix was taken off, or there is none.
        return [(part, part) for part in path.split("/")]
    return parts


def _decoded(part: str) -> str:
    """As WSGI has it: each byte a character."""
    return unquote_to_bytes(part.encode("latin-1")).decode("latin-1")


def _segment(part: tuple[str, str]) -> str:
    raw, plain = part
    if plain == "!" and raw != "!":
        return "%21"
    return plain.replace("%", "%25").replace("/", "%2F")
