"""Who may call: not another site through somebody's browser, nor under a foreign name."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask, Response, g, request

from cyme_supd.domain.access import HEALTH, METRICS, OPEN, SAFE_METHODS, Caller, Role, check, needed
from cyme_supd.domain.audit import Actor
from cyme_supd.errors import Forbidden, Unavailable
from cyme_supd.service import Access, acting
from cyme_supd.service.access import ANYBODY
from cyme_supd.web import credentials
from cyme_supd.web.paths import ACTOR, FORWARDED, TARGET
from cyme_supd.web.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_LONGEST_ADDRESS, _LONGEST_AGENT = 64, 128
_OWN_SITES = frozenset({"same-origin", "none"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_WILDCARDS = frozenset({"0.0.0.0", "::", ""})
#: Headers that are meant for a queued URL's server.
_FORWARDED = re.compile(r"\bx-forward-[a-z0-9-]+", re.ASCII | re.IGNORECASE)
_HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("Vary", "Origin"),
]


class Guard:
    """Who may call the server that *settings* describe; of a request it sees the environment."""

    def __init__(self, settings: Settings, access: Access) -> None:
        self._access = access
        self._is_exposed = settings.is_exposed
        names = {settings.host.lower(), *(name.lower() for name in settings.server_names)}
        self._names = (_LOOPBACK | names) - _WILDCARDS
        self._is_wildcard = settings.host in _WILDCARDS
        self._origins = frozenset(settings.cors_origins)

    def check(self, environ: WSGIEnvironment) -> None:
        """Raise ``Forbidden`` for one that must not be answered."""
        if FORWARDED in environ:
            # Another branch has let it in.
            return
        self._check_host(environ)
        # To queue a URL is a change, whatever the verb that it is asked with.
        is_url = TARGET in environ
        if (is_url or environ["REQUEST_METHOD"] not in SAFE_METHODS) and not self.welcome(environ):
            origin = environ.get("HTTP_ORIGIN")
            _check_site(environ, _referring(environ) if is_url and origin is None else origin)

    def caller(self, environ: WSGIEnvironment, may_be_old: bool = False) -> Caller:
        """Who asks; raises ``Unauthorized`` for one who is not known.

        Where the store cannot be read that is an error, unless who is known *may be old*.
        """
        if FORWARDED in environ:
            return Caller("another branch", Role(environ[FORWARDED]))
        # With nobody known, whoever reaches a loopback address is the admin.
        if self._is_open(may_be_old):
            return ANYBODY
        return credentials.caller(environ, self._access, may_be_old)

    def glance(self, environ: WSGIEnvironment) -> Caller | None:
        """Who asks for what is answered to anybody; ``None`` for one who does not say.

        That is answered while the store is away, too.
        """
        with suppress(Unavailable):
            is_named = FORWARDED in environ or credentials.are_given(environ)
            if is_named or self._is_open(may_be_old=True):
                return self.caller(environ, may_be_old=True)
        return None

    def _is_open(self, may_be_old: bool) -> bool:
        return not self._is_exposed and self._access.is_open(may_be_old)

    def welcome(self, environ: WSGIEnvironment) -> str | None:
        """The site that asks, if it is one that may."""
        origin = environ.get("HTTP_ORIGIN")
        return origin if origin in self._origins else None

    def headers(self, environ: WSGIEnvironment) -> list[tuple[str, str]]:
        """What every answer says to browsers."""
        origin = self.welcome(environ)
        return [*_HEADERS, ("Access-Control-Allow-Origin", origin)] if origin else _HEADERS

    def _check_host(self, environ: WSGIEnvironment) -> None:
        host = host_name(environ.get("HTTP_HOST", ""))
        if host in self._names or (self._is_wildcard and credentials.is_own_address(environ, host)):
            return
        raise Forbidden(
            "this server is not known by the name in Host", "start it with --server-name NAME"
        )


def actor_of(environ: WSGIEnvironment, caller: Caller) -> Actor:
    """Who is to be named for what the request changes."""
    known: Actor | None = environ.get(ACTOR)
    if known is not None:
        return known
    address = environ.get("REMOTE_ADDR", "")[:_LONGEST_ADDRESS]
    agent = environ.get("HTTP_USER_AGENT", "").encode("latin-1").decode("utf-8", "replace")
    name = "" if caller is ANYBODY else caller.name
    return Actor(name, address, "".join(filter(str.isprintable, agent))[:_LONGEST_AGENT])


def is_preflight(environ: WSGIEnvironment) -> bool:
    """Whether a browser asks what a page of another site may ask."""
    return "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ


def install(app: Flask, guard: Guard) -> None:
    @app.before_request
    def look() -> Response | None:
        guard.check(request.environ)
        if is_preflight(request.environ) and guard.welcome(request.environ):
            return _preflight(TARGET in request.environ)
        _admit(guard)
        return None

    @app.teardown_request
    def leave(_: object) -> None:
        # A thread of the branch's that has answered for another goes on as the branch.
        if token := g.pop("acting", None):
            acting.end(token)

    @app.after_request
    def protect(response: Response) -> Response:
        for name, value in guard.headers(request.environ):
            response.headers.setdefault(name, value)
        return response


def _admit(guard: Guard) -> None:
    """Note who asks; raise where they may not."""
    route = request.url_rule.rule if request.url_rule else None
    if route in OPEN:
        caller = guard.glance(request.environ) if route == HEALTH else None
        if caller is not None and caller.app is None:
            g.role = caller.role
        return
    caller = guard.caller(request.environ, may_be_old=route == METRICS)
    g.role = caller.role
    g.acting = acting.begin(actor_of(request.environ, caller))
    if route is not None:
        app = (request.view_args or {}).get("app")
        check(caller, _needed(request.method, route), app)


def _needed(method: str, route: str) -> Role:
    try:
        return needed(method, route)
    except LookupError:
        return Role.ADMIN


def host_name(host: str) -> str:
    """The name in a ``Host`` header, without port and brackets; empty for nonsense."""
    try:
        parts = urlsplit(f"//{host}")
        name, _ = parts.hostname, parts.port
    except ValueError:
        return ""
    is_plain = parts.netloc == host and "@" not in host
    return (name or "").rstrip(".") if is_plain else ""


def _check_site(environ: WSGIEnvironment, origin: str | None) -> None:
    site = environ.get("HTTP_SEC_FETCH_SITE")
    is_foreign = site is not None and site not in _OWN_SITES
    if not is_foreign and origin is not None:
        is_foreign = _authority(origin) != environ.get("HTTP_HOST", "").lower()
    if is_foreign:
        raise Forbidden(
            "a page of another site may not change anything here",
            "allow it with --cors-origin ORIGIN",
        )


def _referring(environ: WSGIEnvironment) -> str | None:
    """The origin of the page that a link or an image of is followed from.

    A browser sends none along with a plain GET; an old one says no more.
    """
    try:
        parts = urlsplit(environ.get("HTTP_REFERER", ""))
    except ValueError:
        return "null"
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else None


def _authority(origin: str) -> str:
    """``host[:port]`` of an origin; empty for ``null`` and what is no web page."""
    scheme, sign, rest = origin.lower().partition("://")
    return rest if sign and scheme in ("http", "https") else ""


def _preflight(is_url: bool) -> Response:
    methods = ["GET", "HEAD", "POST", "PUT", "DELETE"]
    headers = ["Authorization", "Content-Type"]
    if is_url:
        methods.append("PATCH")
        headers += _FORWARDED.findall(request.headers.get("Access-Control-Request-Headers", ""))
    response = Response(status=204)
    response.headers["Access-Control-Allow-Methods"] = ", ".join(methods)
    response.headers["Access-Control-Allow-Headers"] = ", ".join(headers)
    return response
