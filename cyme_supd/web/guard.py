"""Who may call: not another site through somebody's browser, nor under a foreign name."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask, Response, g, request

from cyme_supd.domain.access import HEALTH, METRICS, OPEN, Caller, Role, check, needed
from cyme_supd.domain.audit import Actor
from cyme_supd.domain.sessions import is_forgery_token
from cyme_supd.errors import Forbidden, Unauthorized, Unavailable
from cyme_supd.service import Access, Sessions, acting
from cyme_supd.service.access import ANYBODY
from cyme_supd.web import credentials
from cyme_supd.web.cookies import is_change
from cyme_supd.web.paths import ACTOR, FORWARDED, TARGET, VIA
from cyme_supd.web.peers import LOOPBACK, host_and_port, is_own_address
from cyme_supd.web.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_LONGEST_ADDRESS, _LONGEST_AGENT = 64, 128
_OWN_SITES = frozenset({"same-origin", "none"})
_WILDCARDS = frozenset({"0.0.0.0", "::", ""})
#: Headers that are meant for a queued URL's server.
_FORWARDED = re.compile(r"\bx-forward-[a-z0-9-]+", re.ASCII | re.IGNORECASE)
#: What every answer says to browsers.
HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("Vary", "Origin"),
]


class Guard:
    """Who may call the server that *settings* describe; of a request it sees the environment."""

    def __init__(self, settings: Settings, access: Access, sessions: Sessions) -> None:
        self._access = access
        self._sessions = sessions
        self._is_exposed = settings.is_exposed
        self._is_insecure = settings.is_insecure
        names = {settings.host.lower(), *(name.lower() for name in settings.server_names)}
        self._names = (LOOPBACK | names) - _WILDCARDS
        self._is_wildcard = settings.host in _WILDCARDS
        self._origins = frozenset(settings.cors_origins)

    def check(self, environ: WSGIEnvironment) -> None:
        """Raise ``Forbidden`` for one that must not be answered."""
        if FORWARDED in environ:
            # Another branch has let it in.
            return
        self._check_host(environ)
        if is_change(environ) and not self.welcome(environ):
            origin = environ.get("HTTP_ORIGIN")
            is_url = TARGET in environ
            check_site(environ, _referring(environ) if is_url and origin is None else origin)

    def caller(self, environ: WSGIEnvironment, may_be_old: bool = False) -> Caller:
        """Who asks; raises ``Unauthorized`` for one who is not known.

        Where the store cannot be read that is an error, unless who is known *may be old*.
        """
        if FORWARDED in environ:
            return Caller("another branch", Role(environ[FORWARDED]))
        if self.is_open(environ, may_be_old):
            return ANYBODY
        return credentials.caller(environ, self._access, self._sessions, may_be_old)

    def check_forgery(self, environ: WSGIEnvironment, caller: Caller, sent: str = "") -> None:
        """Raise ``Forbidden`` for a change that not our own page has the browser send.

        *sent* is what a form says, where no script can add a header.
        """
        if not caller.forgery_token or not is_change(environ):
            return
        if not is_forgery_token(environ.get("HTTP_X_CSRF_TOKEN") or sent, caller.forgery_token):
            raise Forbidden(
                "a change by who signed in has to come with the page's token",
                "reload the page; programs send a token or HTTP Basic, and no cookie",
            )

    def glance(self, environ: WSGIEnvironment) -> Caller | None:
        """Who asks for what is answered to anybody; ``None`` for one who does not say.

        That is answered while the store is away, too.
        """
        with suppress(Unavailable):
            is_named = FORWARDED in environ or credentials.are_given(environ)
            if is_named or self.is_open(environ, may_be_old=True):
                return self._glanced(environ)
        return None

    def _glanced(self, environ: WSGIEnvironment) -> Caller | None:
        try:
            return self.caller(environ, may_be_old=True)
        except Unauthorized:
            # A cookie is sent by a browser, whether or not it means to say who asks.
            if "HTTP_AUTHORIZATION" in environ:
                raise
            return None

    def is_open(self, environ: WSGIEnvironment, may_be_old: bool = False) -> bool:
        """With nobody known, whoever reaches a loopback address is the admin.

        Not so who reaches a proxy: that may be anybody.
        """
        is_reached = self._is_exposed or (VIA in environ and not self._is_insecure)
        return not is_reached and self._access.is_open(may_be_old)

    def is_nobody(self) -> bool:
        """Whether there is nobody who could say who they are."""
        return self._access.is_open()

    def welcome(self, environ: WSGIEnvironment) -> str | None:
        """The site that asks, if it is one that may."""
        origin = environ.get("HTTP_ORIGIN")
        return origin if origin in self._origins else None

    def headers(self, environ: WSGIEnvironment) -> list[tuple[str, str]]:
        """What every answer says to browsers."""
        origin = self.welcome(environ)
        return [*HEADERS, ("Access-Control-Allow-Origin", origin)] if origin else HEADERS

    def _check_host(self, environ: WSGIEnvironment) -> None:
        host, _ = host_and_port(environ.get("HTTP_HOST", ""))
        if host in self._names or (self._is_wildcard and is_own_address(environ, host)):
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
        if response.status_code == 401 and _is_of_a_page(request.environ):
            # There a browser's own question for a password would be one too many.
            response.headers.pop("WWW-Authenticate", None)
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
    guard.check_forgery(request.environ, caller, _sent_by_form())
    g.role = caller.role
    g.caller = caller
    g.acting = acting.begin(actor_of(request.environ, caller))
    if route is not None:
        app = (request.view_args or {}).get("app")
        check(caller, _needed(request.method, route), app)


def _sent_by_form() -> str:
    """Of a page's own form; the interface's have no such parameter."""
    is_form = request.method == "POST" and request.path.startswith("/admin/")
    return request.form.get("csrf_token", "") if is_form else ""


def _is_of_a_page(environ: WSGIEnvironment) -> bool:
    return (
        "HTTP_X_CSRF_TOKEN" in environ
        or "cyme" in environ.get("HTTP_COOKIE", "")
        or (request.path.startswith("/admin/") and "text/html" in request.accept_mimetypes.values())
    )


def _needed(method: str, route: str) -> Role:
    try:
        return needed(method, route)
    except LookupError:
        return Role.ADMIN


def check_site(environ: WSGIEnvironment, origin: str | None) -> None:
    """Raise ``Forbidden`` for what a page of another site, at *origin*, has a browser ask."""
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
