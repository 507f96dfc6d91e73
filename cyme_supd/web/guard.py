"""Who may call: not another site through somebody's browser, nor under a foreign name."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from flask import Flask, Response, g, request

from cyme_supd.errors import Forbidden
from cyme_supd.web.paths import TARGET
from cyme_supd.web.settings import Settings

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITES = frozenset({"same-origin", "none"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_WILDCARDS = frozenset({"0.0.0.0", "::", ""})
#: Headers that are meant for a queued URL's server.
_FORWARDED = re.compile(r"\bx-forward-[a-z0-9-]+", re.ASCII | re.IGNORECASE)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Vary": "Origin",
}


def install(app: Flask, settings: Settings) -> None:
    names = _LOOPBACK | {settings.host.lower()} | {name.lower() for name in settings.server_names}
    names -= _WILDCARDS
    is_wildcard = settings.host in _WILDCARDS

    @app.before_request
    def check() -> Response | None:
        _check_host(names, is_wildcard)
        origin = request.headers.get("Origin")
        is_welcome = origin is not None and origin in settings.cors_origins
        # To queue a URL is a change, whatever the verb that it is asked with.
        is_url = TARGET in request.environ
        if is_welcome and "Access-Control-Request-Method" in request.headers:
            return _preflight(is_url)
        if (request.method not in _SAFE_METHODS or is_url) and not is_welcome:
            _check_site(_referring() if is_url and origin is None else origin)
        # Without users, whoever reaches a loopback address is the admin.
        g.role = "admin"
        return None

    @app.after_request
    def protect(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        origin = request.headers.get("Origin")
        if origin is not None and origin in settings.cors_origins:
            response.headers["Access-Control-Allow-Origin"] = origin
        return response


def _check_host(names: frozenset[str] | set[str], is_wildcard: bool) -> None:
    host = host_name(request.environ.get("HTTP_HOST", ""))
    if host in names or (is_wildcard and _is_own_address(host)):
        return
    raise Forbidden(
        "this server is not known by the name in Host", "start it with --server-name NAME"
    )


def host_name(host: str) -> str:
    """The name in a ``Host`` header, without port and brackets; empty for nonsense."""
    try:
        parts = urlsplit(f"//{host}")
        name, _ = parts.hostname, parts.port
    except ValueError:
        return ""
    is_plain = parts.netloc == host and "@" not in host
    return (name or "").rstrip(".") if is_plain else ""


def _is_own_address(host: str) -> bool:
    """Whether *host* is the address this very connection arrived at.

    An address cannot be pointed elsewhere as a name can.
    """
    connection = request.environ.get("gunicorn.socket")
    if connection is None:
        return False
    try:
        own = ipaddress.ip_address(connection.getsockname()[0])
        mapped = getattr(own, "ipv4_mapped", None)
        return ipaddress.ip_address(host) in (own, mapped)
    except (OSError, ValueError):
        return False


def _check_site(origin: str | None) -> None:
    site = request.headers.get("Sec-Fetch-Site")
    is_foreign = site is not None and site not in _OWN_SITES
    if not is_foreign and origin is not None:
        is_foreign = _authority(origin) != request.environ.get("HTTP_HOST", "").lower()
    if is_foreign:
        raise Forbidden(
            "a page of another site may not change anything here",
            "allow it with --cors-origin ORIGIN",
        )


def _referring() -> str | None:
    """The origin of the page that a link or an image of is followed from.

    A browser sends none along with a plain GET; an old one says no more.
    """
    try:
        parts = urlsplit(request.headers.get("Referer", ""))
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
