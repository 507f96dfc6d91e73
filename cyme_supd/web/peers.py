"""From where a request comes: this very host, or elsewhere."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cyme_supd.web.paths import VIA

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: Names that a browser on this host, and no other, may mean it by.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def is_on_host(environ: WSGIEnvironment) -> bool:
    """Whether who asks is on this very host.

    A connection to an address of the host's own, from that same address, cannot
    be made from elsewhere: no answer would arrive there. A proxy's can: who is
    behind it is not here, wherever it says that they are.
    """
    address = address_of(environ.get("REMOTE_ADDR", ""))
    if address is None or VIA in environ:
        return False
    return address.is_loopback or is_own_address(environ, str(address))


def address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """That address; of an IPv4 one in IPv6's clothes the IPv4 one."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


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


def host_and_port(host: str) -> tuple[str, int | None]:
    """What a ``Host`` header names, without brackets; empty for nonsense."""
    try:
        parts = urlsplit(f"//{host}")
        name, port = parts.hostname, parts.port
    except ValueError:
        return "", None
    is_plain = parts.netloc == host and "@" not in host
    return ((name or "").rstrip("."), port) if is_plain else ("", None)
