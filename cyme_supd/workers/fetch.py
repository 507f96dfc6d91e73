"""One HTTP request, to the address that was checked, within its time and size."""

from __future__ import annotations

import base64
import codecs
import functools
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import httpcore

from cyme_supd import __version__
from cyme_supd.domain.target import Address, Policy, Target, check_url
from cyme_supd.domain.task import MAX_BODY, TIMEOUT_S, UrlRequest, text_of
from cyme_supd.errors import Invalid

USER_AGENT = f"Celery/cyme v{__version__}"
_DEFAULTS = (("User-Agent", USER_AGENT), ("Accept", "*/*"), ("Accept-Encoding", "identity"))
#: Those whose servers expect to be told that there is no body.
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_CHARSET = re.compile(r"""charset=["']?([A-Za-z0-9._-]{1,40})""", re.ASCII | re.IGNORECASE)
#: Codecs of Python's that no text is sent in. One takes a minute for a MiB, and
#: others make halves of characters, which no message can carry.
_NO_CHARSETS = frozenset(
    {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}
)
#: Less than a connection takes at once when it takes anything.
_PIECE = 16384

Resolve = Callable[[str, int], Iterable[Address]]


class FetchFailed(Exception):
    """No answer came, and why."""


def resolve(host: str, port: int) -> list[Address]:
    """All addresses of *host*, in the order to try them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in found]
    return list(dict.fromkeys(addresses))


def fetch(
    request: UrlRequest,
    policy: Policy,
    resolve: Resolve = resolve,
    timeout_s: float = TIMEOUT_S,
    max_body: int = MAX_BODY,
) -> dict[str, Any]:
    """Send *request*; ``status_code headers body encoding truncated elapsed_s url``.

    Whatever the status, an answer is a result; redirects are not followed.
    ``body`` is text in the charset ``encoding``, or base64 where that says
    so. Raises :exc:`FetchFailed` where none comes within *timeout_s*, or the
    target is forbidden. Every request has a connection of its own: one that
    was kept might be closed by the server at the moment it is used again.
    """
    begun = time.monotonic()
    try:
        target = check_url(policy, request.url)
        backend = _Backend(target, policy, resolve, begun + timeout_s)
        status, headers, body = _exchange(request, target, backend, max_body)
    except Invalid as exc:
        raise FetchFailed(exc.message) from None
    except (httpcore.TimeoutException, _TooLate):
        raise FetchFailed(f"no answer within {timeout_s:g} s") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError, UnicodeError) as exc:
        raise FetchFailed(f"{type(exc).__name__}: {exc}"[:500]) from None
    is_truncated = len(body) > max_body
    text, encoding = _readable(body[:max_body], headers, is_truncated)
    return {
        "status_code": status,
        "headers": headers,
        "body": text,
        "encoding": encoding,
        "truncated": is_truncated,
        "elapsed_s": round(time.monotonic() - begun, 6),
        "url": request.url,
    }


def _exchange(
    request: UrlRequest, target: Target, backend: _Backend, max_body: int
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers, and of the body at most one byte more than *max_body*."""
    url = httpcore.URL(
        scheme=target.scheme.encode(),
        host=target.host.encode(),
        port=target.port,
        target=target.path.encode(),
    )
    content = request.body if request.body or request.method in _WITH_BODY else None
    body = bytearray()
    with (
        httpcore.HTTPConnection(
            url.origin, ssl_context=_tls(target.scheme), network_backend=backend
        ) as connection,
        connection.stream(
            request.method, url, headers=_headers(request, target), content=content
        ) as response,
    ):
        for chunk in response.iter_stream():
            body += chunk
            if len(body) > max_body:
                break
        return response.status, _joined(response.headers), bytes(body[: max_body + 1])


def _headers(request: UrlRequest, target: Target) -> list[tuple[bytes, bytes]]:
    given = {name.lower() for name, _ in request.headers}
    pairs = [("Host", target.authority)]
    pairs += [pair for pair in _DEFAULTS if pair[0].lower() not in given]
    if target.userinfo and "authorization" not in given:
        token = base64.b64encode(target.userinfo.encode()).decode()
        pairs.append(("Authorization", f"Basic {token}"))
    pairs += [*request.headers, ("Connection", "close")]
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in pairs]


def _joined(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """By name; the values of one that is there several times in one, with commas."""
    names: dict[str, str] = {}
    joined: dict[str, list[str]] = {}
    for raw_name, raw_value in headers:
        name = raw_name.decode("latin-1")
        joined.setdefault(names.setdefault(name.lower(), name), []).append(
            raw_value.decode("latin-1")
        )
    return {name: ", ".join(values) for name, values in joined.items()}


def _readable(body: bytes, headers: dict[str, str], is_truncated: bool) -> tuple[str, str]:
    kind = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    charset = _charset(kind)
    # The cut may have gone through a character.
    for cut in range(4) if is_truncated and charset == "utf-8" else (0,):
        text, encoding = text_of(body[: len(body) - cut], charset)
        if encoding != "base64":
            return text, encoding
    return text_of(body, charset)


def _charset(kind: str) -> str:
    """The charset that a ``Content-Type`` names, if it is one; or else what is usual."""
    found = _CHARSET.search(kind)
    name = found[1].lower() if found else "utf-8"
    try:
        return "utf-8" if codecs.lookup(name).name in _NO_CHARSETS else name
    except LookupError:
        return "utf-8"


@functools.cache
def _tls(scheme: str) -> ssl.SSLContext | None:
    return httpcore.default_ssl_context() if scheme == "https" else None


class _TooLate(Exception):
    """The time for the whole request is over."""


class _Backend(httpcore.NetworkBackend):
    """Connects one request: resolves, checks, and connects to what it checked."""

    def __init__(self, target: Target, policy: Policy, resolve: Resolve, deadline: float) -> None:
        self._target = target
        self._policy = policy
        self._resolve = resolve
        self._deadline = deadline
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        error: Exception = FetchFailed(f"{host} has no address")
        for address in self._addresses():
            left = _left(self._deadline)
            try:
                stream = self._sockets.connect_tcp(str(address), port, left, local_address)
                return _Stream(stream, self._deadline)
            except httpcore.ConnectError as exc:
                error = exc
        raise error

    def _addresses(self) -> list[Address]:
        """Where to connect: all of what the name means has to be allowed."""
        target = self._target
        if target.address is not None:
            found = [target.address]
        else:
            found = list(self._resolve(target.host, target.port))
        for address in found:
            is_own = target.port in self._policy.ports and _is_own(address)
            self._policy.check_address(target, address, is_own=is_own)
        return found


class _Stream(httpcore.NetworkStream):
    """A stream whose every step has what is left of one deadline.

    A server that sends a byte now and then would keep within any limit that
    each step has of its own.
    """

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # In pieces: each of them may take as long as there is time left, so
        # that one who reads a little now and then would keep all of it going.
        for start in range(0, len(buffer), _PIECE):
            self._stream.write(buffer[start : start + _PIECE], _left(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(self._deadline)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise _TooLate
    return left


def _is_own(address: Address) -> bool:
    """Whether *address* is one of this host's: only then a socket can be bound to it."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True
