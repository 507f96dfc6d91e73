"""Who a request says it is from: ``Authorization: Bearer`` or ``Basic``."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from typing import TYPE_CHECKING

from cyme_supd.domain.access import Caller
from cyme_supd.errors import Unauthorized
from cyme_supd.service import Access

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_HINT = "send Authorization: Bearer TOKEN, or HTTP Basic; cyme takes the token from $CYME_TOKEN"


def are_given(environ: WSGIEnvironment) -> bool:
    return bool(environ.get("HTTP_AUTHORIZATION"))


def caller(environ: WSGIEnvironment, access: Access, may_be_old: bool = False) -> Caller:
    """Who asks, of whom is known; raises ``Unauthorized``, ``RateLimited`` for one who guesses."""
    if not are_given(environ):
        raise Unauthorized("who asks has to say who they are", _HINT)
    scheme, _, given = environ["HTTP_AUTHORIZATION"].strip().partition(" ")
    if scheme.lower() == "bearer":
        return access.by_token(given.strip(), is_on_host(environ), may_be_old)
    if scheme.lower() == "basic":
        name, password = _pair(given.strip())
        address = environ.get("REMOTE_ADDR", "")
        return access.by_password(name, password, address, may_be_old)
    raise Unauthorized("this way to say who asks is not known", _HINT)


def is_on_host(environ: WSGIEnvironment) -> bool:
    """Whether who asks is on this very host.

    A connection to an address of the host's own, from that same address, cannot
    be made from elsewhere: no answer would arrive there.
    """
    peer = environ.get("REMOTE_ADDR", "")
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or is_own_address(environ, str(address))


def is_own_address(environ: WSGIEnvironment, host: str) -> bool:
    """Whether *host* is the address this very connection arrived at.

    An address cannot be pointed elsewhere as a name can.
    """
    connection = environ.get("gunicorn.socket")
    if connection is None:
        return False
    try:
        own = ipaddress.ip_address(connection.getsockname()[0])
        mapped = getattr(own, "ipv4_mapped", None)
        return ipaddress.ip_address(host) in (own, mapped)
    except (OSError, ValueError):
        return False


def _pair(given: str) -> tuple[str, str]:
    try:
        name, colon, password = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        colon = ""
    if not colon:
        raise Unauthorized("name and password are not readable", _HINT)
    return name, password
