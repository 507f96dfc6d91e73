"""What proxies say of who asks them: believed of those that are named, and of no others."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from werkzeug.http import parse_list_header
from werkzeug.middleware.proxy_fix import ProxyFix

from cyme_supd.web.paths import VIA
from cyme_supd.web.peers import address_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_FOR, _PROTO, _HOST, _PREFIX = (
    f"HTTP_X_FORWARDED_{name}" for name in ("FOR", "PROTO", "HOST", "PREFIX")
)
#: Any of these tells that there is a proxy.
_MARKS = (
    *(_FOR, _PROTO, _HOST, _PREFIX, "HTTP_X_FORWARDED_PORT", "HTTP_X_FORWARDED_SERVER"),
    *("HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA"),
)
#: What links on a page may begin with.
_PREFIXES = re.compile(r"(?:/[A-Za-z0-9._~-]+)*", re.ASCII)


class Proxies:
    """*wsgi*, told of a request what the proxies that are *named* say of it.

    A request that came through one, named or not, has :data:`VIA`: who sent it is
    not on this host.
    """

    def __init__(self, wsgi: WSGIApplication, named: Sequence[str]) -> None:
        self._wsgi = wsgi
        self._named = [ipaddress.ip_network(each) for each in named]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # Who is where a named one is, and says none of this, has come by themselves.
        if not any(name in environ for name in _MARKS):
            return self._wsgi(environ, start_response)
        environ[VIA] = True
        if not self._is_named(environ.get("REMOTE_ADDR", "")):
            return self._wsgi(environ, start_response)
        _drop_nonsense(environ)
        hops = self._hops(environ.get(_FOR, ""))
        return ProxyFix(self._wsgi, x_for=hops, x_host=1, x_prefix=1)(environ, start_response)

    def _hops(self, said: str) -> int:
        """Which address counts, from the right: the first that no named proxy has.

        Those before it anybody can have written there.
        """
        addresses = parse_list_header(said)
        for number, each in enumerate(reversed(addresses), 1):
            if address_of(each) is None:
                return number - 1
            if not self._is_named(each):
                return number
        return len(addresses)

    def _is_named(self, peer: str) -> bool:
        address = address_of(peer)
        return address is not None and any(address in each for each in self._named)


def _drop_nonsense(environ: WSGIEnvironment) -> None:
    """A proxy that leaves one of these alone passes on what a client has made up."""
    if _last(environ, _PROTO) not in ("http", "https"):
        environ.pop(_PROTO, None)
    prefix = _last(environ, _PREFIX).rstrip("/")
    environ.pop(_PREFIX, None)
    if prefix and _PREFIXES.fullmatch(prefix):
        environ[_PREFIX] = prefix


def _last(environ: WSGIEnvironment, name: str) -> str:
    return (parse_list_header(environ.get(name, "")) or [""])[-1]
