"""Paths whose segments may hold any character, a slash too; and those that end in a URL."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes

from cyme_supd.errors import Invalid

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: In the environment of a request that another branch has sent: the role of who asks it.
FORWARDED = "cyme.forwarded"
#: Whose a request is, where another branch has passed it on.
ACTOR = "cyme.actor"
#: In the environment of a request that has come through a proxy.
VIA = "cyme.via"
#: In the environment of a request to queue a URL: that URL, as it was sent.
TARGET = "cyme.target"

_KEPT = {"%25": "%", "%2F": "/", "%21": "!"}
_URL_ROUTE = re.compile(r"(/[^/?]+/queue/(?:!/)?+)([^/?]+)/([^?].*)", re.DOTALL)
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?]*")
_PLAIN = "/:@!$&'()*+,;=~-._[]"


#: Path and query of a request as they were sent.
_RAW = "cyme.raw_uri"


def raw_uri(environ: WSGIEnvironment) -> str:
    """Path and query of a request as they were sent."""
    return str(environ[_RAW])


def with_whole_segments(wsgi: WSGIApplication) -> WSGIApplication:
    """*wsgi*, which gets the names of queues as one segment each.

    A server hands the path over decoded, in which an encoded slash is like
    any other. Where queues are named, what would change the route stays
    encoded; :func:`queue_name` decodes it.
    """

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        # Not one that a client sent as a header would be called.
        environ.pop(TARGET, None)
        environ[_RAW] = _raw_uri(environ)
        has_target = "/queue/" in path and _take_target(environ)
        if not has_target and ("/queues/" in path or "/queue/" in path):
            environ["PATH_INFO"] = "/".join(_segment(part) for part in _parts(environ))
        return wsgi(environ, start_response)

    return call


def _take_target(environ: WSGIEnvironment) -> bool:
    """Put the URL that the path ends in, if it does, beside it, and a dash in its place.

    It is taken from the request line: decoded, its own escapes would be lost,
    and where its query begins.
    """
    found = _URL_ROUTE.fullmatch(_raw_uri(environ))
    if found is None:
        return False
    collection, queue, target = found.groups()
    environ[TARGET] = _whole(target)
    environ["PATH_INFO"] = f"{_decoded(collection)}{_segment((queue, _decoded(queue)))}/-"
    return True


def _raw_uri(environ: WSGIEnvironment) -> str:
    """Path and query as they were sent, or put together where they were not kept."""
    raw = str(environ.get("RAW_URI", ""))
    if not raw.startswith("/"):
        raw = _ABSOLUTE.sub("", raw, count=1)
    path = environ["PATH_INFO"]
    if _decoded(raw.partition("?")[0]) == path:
        return raw
    query = environ.get("QUERY_STRING", "")
    encoded = quote(path.encode("latin-1"), safe=_PLAIN)
    return f"{encoded}?{query}" if query else encoded


def _whole(target: str) -> str:
    """A URL in ASCII; one that is encoded as a whole is decoded.

    What is behind it is the request's own query, and none of the encoding.
    """
    url, mark, query = target.partition("?")
    if url[:7].lower() in ("http%3a", "https%3"):
        url = _decoded(url)
        mark = "&" if mark and "?" in url else mark
    target = f"{url}{mark}{query}"
    return "".join(char if char.isascii() else f"%{ord(char):02X}" for char in target)


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
