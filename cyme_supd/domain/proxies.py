"""Which proxies are believed. Pure."""

from __future__ import annotations

import ipaddress

from cyme_supd.errors import Invalid


def check_proxy(text: str) -> str:
    """An address or a network, as it is kept."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise Invalid(
            f"--trusted-proxy: {text!r} is neither an address nor a network",
            "as 127.0.0.1, 10.1.0.0/16 or ::1",
        ) from None
    if network.prefixlen == 0:
        raise Invalid(f"--trusted-proxy: {text} is everybody", "name the proxies alone")
    return str(network)
