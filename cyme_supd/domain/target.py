"""Which URLs may be requested on somebody's behalf, and which addresses connected to. Pure.

Twice checked: the web refuses what it can tell from the URL alone
(:func:`check_url`), the worker what the name resolves to
(:meth:`Policy.check_address`), and it connects to the very address that was
checked.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote, urlsplit

from cyme_supd.domain.naming import is_control
from cyme_supd.errors import Invalid

MAX_URL = 8192
_PORTS = {"http": 80, "https": 443}
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Where clouds tell machines their secrets, beside the link-local addresses.
_METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in (
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:42::42",
        "fd00:ec2::254",
        "fd20:ce::254",
    )
)
_METADATA_NAMES = frozenset({"metadata.google.internal", "metadata.goog"})
#: Networks with an IPv4 address in their last 32 bits, which is who answers
#: there: compatible, translated (SIIT), and both of NAT64.
_WRAPPING = tuple(
    ipaddress.ip_network(network)
    for network in ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")
)
#: White space, controls, and what no text should have in it.
_UNFIT = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")
_PART = re.compile(r"0x[0-9a-f]*|[0-9]+", re.ASCII | re.IGNORECASE)
_BRACKETED = re.compile(r"\[[^\[\]]*:[^\[\]]*\](:[0-9]*)?", re.ASCII)
_HOST = re.compile(r"[^\x00-\x20\"#%/:<>?@\[\\\]^`{|}\x7f]{1,253}")


@dataclass(frozen=True, slots=True)
class Target:
    """A URL in its parts: what is asked of whom.

    ``host`` is lower-case and without a last dot; ``address`` what it is, if
    it is an address: in whatever way that was written, ``host`` has it in the
    usual one. ``path`` begins with a slash and has the query with it, both as
    they were sent.
    """

    scheme: str
    host: str
    port: int
    path: str
    authority: str
    userinfo: str = ""
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """What ``--url-allow`` and ``--url-deny`` say, and what is refused whatever they say.

    Both hold host globs (``*.example.com``) and networks (``10.0.0.0/8``); a
    target that is denied is refused, and where there is an ``allow`` one that
    is in none of it. ``ports`` are the branch's own.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    is_loopback_allowed: bool = False
    ports: tuple[int, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {
            "allow": list(self.allow),
            "deny": list(self.deny),
            "is_loopback_allowed": self.is_loopback_allowed,
            "ports": list(self.ports),
        }

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Policy:
        """The policy that :meth:`as_dict` wrote."""
        return cls(
            allow=tuple(value["allow"]),
            deny=tuple(value["deny"]),
            is_loopback_allowed=bool(value["is_loopback_allowed"]),
            ports=tuple(value["ports"]),
        )

    def check(self, target: Target) -> None:
        """Raise :exc:`Invalid` for what the URL alone shows to be forbidden."""
        if target.host in _METADATA_NAMES:
            raise _forbidden(target.host, "it tells machines their secrets")
        if _matches_name(self.deny, target.host):
            raise _forbidden(target.host, "denied by --url-deny")
        if target.host.rpartition(".")[2] == "localhost":
            self._check_loopback(target.host, target.port)
        if target.address is not None:
            self.check_address(target, target.address)
        elif self.allow and not _may_match(self.allow, target.host):
            raise _forbidden(target.host, "not in --url-allow")

    def check_address(self, target: Target, address: Address, *, is_own: bool = False) -> None:
        """Raise :exc:`Invalid` where *target* must not be asked at *address*.

        *is_own* says that the address is one of this host's.
        """
        shown = target.host if target.address else f"{target.host} ({address})"
        for each in _meanings(address):
            if each.is_link_local or each in _METADATA:
                raise _forbidden(shown, "it is link-local or tells secrets of the machine")
            if each.is_multicast or (each.version == 4 and each.is_reserved):
                raise _forbidden(shown, "it is a multicast or reserved address")
            if each.is_loopback or each.is_unspecified:
                self._check_loopback(shown, target.port)
            if is_own and target.port in self.ports:
                raise _forbidden(shown, f"port {target.port} there is the branch's own")
            if _matches_network(self.deny, each) or _matches_name(self.deny, str(each)):
                raise _forbidden(shown, "denied by --url-deny")
        if self.allow and not self._is_allowed(target.host, address):
            raise _forbidden(shown, "not in --url-allow")

    def _check_loopback(self, shown: str, port: int) -> None:
        if not self.is_loopback_allowed:
            raise _forbidden(shown, "it is loopback, and the branch listens on another address")
        if port in self.ports:
            raise _forbidden(shown, f"port {port} there is the branch's own")

    def _is_allowed(self, host: str, address: Address) -> bool:
        return _matches_name(self.allow, host) or all(
            _matches_network(self.allow, each) for each in _meanings(address)
        )


#: The policy of a branch that was told nothing, on an address others can reach.
NOTHING_SAID = Policy()


def check_pattern(option: str, pattern: str) -> str:
    """*pattern* as a policy keeps it: a host glob in lower case, or a network."""
    text = pattern.strip().lower().rstrip(".")
    if _network(text) is not None:
        return text
    if not text or "/" in text or ":" in text or any(is_control(c) or c.isspace() for c in text):
        raise Invalid(
            f"{option}: {pattern[:60]!r} is neither a host glob nor a network",
            "such as *.example.com or 10.0.0.0/8",
        )
    return _ascii_glob(option, text)


def _ascii_glob(option: str, glob: str) -> str:
    """*glob* as hosts are compared with it: their names are in IDNA's form."""
    labels = [label for label in glob.split(".") if not label.isascii()]
    try:
        if any(char in label for label in labels for char in "*?["):
            raise UnicodeError
        return glob if glob.isascii() else glob.encode("idna").decode("ascii")
    except UnicodeError:
        raise Invalid(
            f"{option}: {glob[:60]!r} cannot be compared with names of hosts",
            "write it as it is in DNS: xn--...",
        ) from None


def parse_url(url: str) -> Target:
    """*url* in its parts; :exc:`Invalid` says what is wrong with it."""
    if len(url) > MAX_URL:
        raise Invalid(f"url: longer than {MAX_URL} characters")
    if _UNFIT.search(url):
        raise Invalid("url: has white space or a control character in it", "percent-encode it")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # Not why: that repeats what may be a password.
        raise Invalid("url: its host and port are none", "http://host:port/path") from None
    if parts.scheme not in _PORTS:
        raise Invalid(
            f"url: scheme {parts.scheme[:20]!r} cannot be requested",
            "http://host/path or https://host/path",
        )
    userinfo, sign, place = parts.netloc.rpartition("@")
    if port == 0 or "\\" in parts.netloc or ("[" in place and not _BRACKETED.fullmatch(place)):
        raise Invalid("url: its host and port are none", "http://host:port/path")
    host = _host(parts.hostname or "")
    address = _address(host)
    host = host if address is None else str(address)
    path = url.partition("#")[0][len(parts.scheme) + 3 + len(parts.netloc) :]
    return Target(
        scheme=parts.scheme,
        host=host,
        port=port or _PORTS[parts.scheme],
        path=_ascii(path if path.startswith("/") else f"/{path}"),
        authority=_authority(host, port),
        userinfo=unquote(userinfo) if sign else "",
        address=address,
    )


def check_url(policy: Policy, url: str) -> Target:
    """*url* in its parts, unless it cannot be, or must not be requested."""
    target = parse_url(url)
    policy.check(target)
    return target


def _authority(host: str, port: int | None) -> str:
    """What ``Host`` says."""
    name = f"[{host}]" if ":" in host else host
    return name if port is None else f"{name}:{port}"


def _host(name: str) -> str:
    host = name.lower()
    if ":" in host:
        # urlsplit took it out of its brackets.
        try:
            return str(ipaddress.IPv6Address(host.partition("%")[0]))
        except ValueError:
            raise Invalid("url: the address in brackets is none") from None
    try:
        host = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise Invalid("url: the host is no name") from None
    # Only now: other scripts have dots of their own.
    host = host.rstrip(".")
    if not _HOST.fullmatch(host):
        raise Invalid("url: names no host", "http://host/path")
    return host


def _ascii(path: str) -> str:
    """*path* with what is not ASCII percent-encoded; all else as it was sent."""
    return "".join(
        char if char.isascii() else "".join(f"%{byte:02X}" for byte in char.encode())
        for char in path
    )


def _address(host: str) -> Address | None:
    if ":" in host:
        return ipaddress.ip_address(host)
    return _legacy_ipv4(host)


def _legacy_ipv4(host: str) -> ipaddress.IPv4Address | None:
    """An IPv4 address in any form that resolvers take: ``127.1``, ``0x7f000001``, ``017700000001``.

    Hosts that look like numbers and are none are refused: one resolver or
    another may read something into them.
    """
    parts = host.split(".")
    if not _PART.fullmatch(parts[-1]):
        return None
    try:
        numbers = [_number(part) for part in parts]
    except ValueError:
        raise Invalid("url: the host is neither a name nor an address") from None
    last = numbers.pop()
    if len(numbers) > 3 or any(each > 255 for each in numbers) or last >= 256 ** (4 - len(numbers)):
        raise Invalid("url: the host is neither a name nor an address")
    value = sum(each << (8 * (3 - index)) for index, each in enumerate(numbers))
    return ipaddress.IPv4Address(value + last)


def _number(part: str) -> int:
    if not _PART.fullmatch(part):
        raise ValueError(part)
    if part[:2].lower() == "0x":
        return int(part[2:] or "0", 16)
    return int(part, 8) if part.startswith("0") else int(part)


def _meanings(address: Address) -> Sequence[Address]:
    """*address*, and the IPv4 address that is wrapped in it, if one is."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _WRAPPING):
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if address.ipv4_mapped or address.is_loopback or address.is_unspecified:
        # ::ffff:a.b.c.d is that address and nothing else; so are :: and ::1.
        mapped = [each for each in (address.ipv4_mapped,) if each]
        return mapped or (address,)
    return (address, *(each for each in inner if each is not None))


def _matches_name(patterns: Sequence[str], host: str) -> bool:
    return any(_network(each) is None and fnmatchcase(host, each) for each in patterns)


def _matches_network(patterns: Sequence[str], address: Address) -> bool:
    networks = [network for each in patterns if (network := _network(each)) is not None]
    return any(address.version == each.version and address in each for each in networks)


def _may_match(patterns: Sequence[str], host: str) -> bool:
    """Whether a name may turn out to be allowed once it is resolved."""
    return _matches_name(patterns, host) or any(_network(each) for each in patterns)


def _network(pattern: str) -> Network | None:
    try:
        return ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        return None


def _forbidden(shown: str, why: str) -> Invalid:
    return Invalid(f"url: {shown[:120]} may not be requested: {why}", "see --url-allow, --url-deny")
