"""The cookie of those who signed in to the pages.

Over TLS it has the prefix that has browsers take it from this very host, by TLS
alone. What listens on loopback has no TLS, and browsers do not agree on such a
cookie there: it is a plain one, that nobody sees who is not on the host, named
by the port, for browsers tell no ports apart. Anywhere else there is none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from werkzeug.http import parse_cookie
from werkzeug.wrappers import Response

from cyme_supd.domain.access import SAFE_METHODS
from cyme_supd.web.paths import TARGET
from cyme_supd.web.peers import LOOPBACK, host_and_port, is_on_host

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

OVER_TLS = "__Host-cyme"
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


def cookie_name(environ: WSGIEnvironment) -> str | None:
    """What it is called for who asks; ``None`` where it could be overheard."""
    if environ.get("wsgi.url_scheme") == "https":
        return OVER_TLS
    name, port = host_and_port(environ.get("HTTP_HOST", ""))
    return f"cyme-{port or 80}" if name in LOOPBACK and is_on_host(environ) else None


def secret_of(environ: WSGIEnvironment) -> str:
    """The secret of a session, if the request has one."""
    if "HTTP_COOKIE" not in environ:
        return ""
    secret = parse_cookie(environ).get(cookie_name(environ) or "", "")
    return secret if _SECRET.fullmatch(secret) else ""


def keep(response: Response, environ: WSGIEnvironment, secret: str) -> None:
    """Have the browser keep *secret*, or forget what it has where that is empty.

    Lax: a link from elsewhere opens a page. What changes something needs more.
    """
    name = cookie_name(environ)
    if name is not None:
        response.set_cookie(
            name,
            secret,
            max_age=None if secret else 0,
            path="/",
            secure=name == OVER_TLS,
            httponly=True,
            samesite="Lax",
        )


def is_change(environ: WSGIEnvironment) -> bool:
    """To queue a URL is one, whatever the verb that it is asked with."""
    return TARGET in environ or environ["REQUEST_METHOD"] not in SAFE_METHODS


def is_by_hand(environ: WSGIEnvironment) -> bool:
    """Whether a person asks, and not a page that looks again by itself."""
    mode = environ.get("HTTP_SEC_FETCH_MODE")
    return mode in (None, "navigate") or is_change(environ)
