"""Connections to servers: to the address that was checked, within the time of one request."""

from __future__ import annotations

import functools
import ipaddress
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import httpcore

from cyme_supd.domain.target import Address, Policy, Target

#: Less than a connection takes at once when it takes anything.
_PIECE = 16384
#: How long a connection that nobody uses may wait for the next request.
KEPT_S = 5.0

Resolve = Callable[[str, int], Iterable[Address]]


class TooLate(Exception):
    """The time for the whole request is over."""


class NoAddress(Exception):
    """The name means nothing."""


def resolve(host: str, port: int) -> list[Address]:
    """All addresses of *host*, in the order to try them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in found]
    return list(dict.fromkeys(addresses))


@dataclass(frozen=True, slots=True)
class Reach:
    """Which server to reach, by which rules, and until when (monotonic)."""

    target: Target
    policy: Policy
    resolve: Resolve
    deadline: float

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.target.scheme, self.target.host, self.target.port

    def addresses(self) -> list[Address]:
        """Where to connect: all of what the name means has to be allowed."""
        target = self.target
        if target.address is not None:
            found = [target.address]
        else:
            found = list(self.resolve(target.host, target.port))
        for address in found:
            is_own = target.port in self.policy.ports and _is_own(address)
            self.policy.check_address(target, address, is_own=is_own)
        return found


class Line:
    """A connection to one server, for one request after the other.

    ``has_received`` says whether anything came back for the last of them.
    """

    def __init__(self, reach: Reach) -> None:
        self.reach = reach
        self.address: Address | None = None
        self.has_received = False
        self.used_at = 0.0
        scheme, host, port = reach.origin
        self.connection = httpcore.HTTPConnection(
            httpcore.Origin(scheme.encode(), host.encode(), port),
            ssl_context=_tls(scheme),
            network_backend=_Backend(self),
        )

    def left(self) -> float:
        """Seconds that the request has left, more than none."""
        left = self.reach.deadline - time.monotonic()
        if left <= 0:
            raise TooLate
        return left

    def is_good_for(self, reach: Reach) -> bool:
        """Whether it is open, and leads to where *reach* would connect now."""
        return (
            self.reach.origin == reach.origin
            and time.monotonic() - self.used_at < KEPT_S
            and not self.connection.has_expired()
            and self.address in reach.addresses()
        )


class Lines:
    """The line that was used last is kept, for whoever wants the same server next."""

    def __init__(self) -> None:
        # One that is in use is nowhere else, whatever kind of pool it is.
        self._kept: deque[Line] = deque()

    def take(self, reach: Reach) -> Line | None:
        try:
            line = self._kept.pop()
        except IndexError:
            return None
        is_good = False
        try:
            is_good = line.is_good_for(reach)
        finally:
            if not is_good:
                line.connection.close()
        line.reach, line.has_received = reach, False
        return line if is_good else None

    def give(self, line: Line) -> None:
        """Keep it, if it can be used again."""
        if not line.connection.is_available():
            line.connection.close()
            return
        line.used_at = time.monotonic()
        self._kept.append(line)
        self.keep(1)

    def keep(self, count: int) -> None:
        """Close all but the last *count* that nobody uses."""
        while len(self._kept) > count:
            self._kept.popleft().connection.close()


class _Backend(httpcore.NetworkBackend):
    """Connects a line: resolves, checks, and connects to what it checked."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        error: Exception = NoAddress(f"{host} has no address")
        for address in self._line.reach.addresses():
            left = self._line.left()
            try:
                stream = self._sockets.connect_tcp(str(address), port, left, local_address)
            except httpcore.ConnectError as exc:
                error = exc
                continue
            self._line.address = address
            return _Stream(stream, self._line)
        raise error


class _Stream(httpcore.NetworkStream):
    """A stream whose every step has what is left of one deadline.

    A server that sends a byte now and then would keep within any limit that
    each step has of its own.
    """

    def __init__(self, stream: httpcore.NetworkStream, line: Line) -> None:
        self._stream = stream
        self._line = line

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        received = self._stream.read(max_bytes, self._line.left())
        self._line.has_received = self._line.has_received or bool(received)
        return received

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # In pieces: each of them may take as long as there is time left, so
        # that one who reads a little now and then would keep all of it going.
        for start in range(0, len(buffer), _PIECE):
            self._stream.write(buffer[start : start + _PIECE], self._line.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._line.left())
        return _Stream(stream, self._line)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


@functools.cache
def _tls(scheme: str) -> ssl.SSLContext | None:
    return httpcore.default_ssl_context() if scheme == "https" else None


def _is_own(address: Address) -> bool:
    """Whether *address* is one of this host's: only then a socket can be bound to it."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True
