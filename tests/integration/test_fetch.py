"""Requests that workers send, to a server that behaves in every way but well."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from cyme_supd import __version__
from cyme_supd.domain.target import Policy
from cyme_supd.domain.task import METHODS, UrlRequest, bytes_of
from cyme_supd.workers.fetch import FetchFailed, fetch
from cyme_supd.workers.outgoing import as_json
from tests.integration.raw_server import Behave, Server, saying, serving

INSIDE = Policy(is_loopback_allowed=True)
SLOW_S = 0.02


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def get(server: Server, path: str = "/", method: str = "GET", **given: Any) -> dict[str, Any]:
    wanted = UrlRequest(method, server.url(path), given.pop("headers", ()), given.pop("body", b""))
    return fetch(wanted, **{"policy": INSIDE, "timeout_s": 10.0, **given})


def fails(server: Server, within_s: float = 10.0, **given: Any) -> str:
    with pytest.raises(FetchFailed) as caught:
        get(server, timeout_s=within_s, **given)
    return str(caught.value)


# What is sent


@pytest.mark.parametrize("method", METHODS)
def test_every_verb(method: str, server: Server) -> None:
    if method == "HEAD":
        server.behave = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    body = b"\0\xff" * 10
    result = get(
        server, "/a//b?c=%2F#d", method, body=body, headers=(("X-A", "\xe9"), ("x-a", "2"))
    )
    assert result["status_code"] == 200
    assert (result["truncated"], result["encoding"]) == (False, "utf-8")
    assert result["body"] == ("" if method in ("HEAD", "CONNECT") else "ok")
    head = server.heads[0].split("\r\n")
    assert head[0] == f"{method} /a//b?c=%2F HTTP/1.1"
    assert sorted(head[1:]) == sorted(
        [
            f"Host: 127.0.0.1:{server.port}",
            f"User-Agent: Celery/cyme v{__version__}",
            "Accept: */*",
            "Accept-Encoding: identity",
            "X-A: \xe9",
            "x-a: 2",
            *(["Connection: close"] if method in ("POST", "PATCH", "CONNECT") else []),
            f"Content-Length: {len(body)}",
        ]
    )
    assert server.bodies == [body]


def test_no_body_is_said_where_one_is_expected(server: Server) -> None:
    for method in ("GET", "POST", "PUT", "DELETE"):
        get(server, method=method)
    lengths = ["Content-Length: 0" in head for head in server.heads]
    assert lengths == [False, True, True, False]


def test_what_is_given_goes_instead_of_what_is_usual(server: Server) -> None:
    get(server, headers=(("user-agent", "x"), ("ACCEPT", "y"), ("accept-encoding", "gzip")))
    assert "Celery" not in server.heads[0]
    assert server.heads[0].lower().count("accept") == 2


def test_who_asks_goes_as_a_header(server: Server) -> None:
    fetch(UrlRequest("GET", f"http://u%20:p%40@127.0.0.1:{server.port}/"), INSIDE)
    assert "Authorization: Basic dSA6cEA=" in server.heads[0]
    assert "p%40" not in server.heads[0]


def test_the_environment_has_no_say(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    assert get(server)["body"] == "ok"


# What comes back


@pytest.mark.parametrize("status", [201, 204, 301, 302, 304, 307, 308, 401, 404, 418, 500, 503])
def test_every_status_is_an_answer(status: int, server: Server) -> None:
    location = server.url("/followed")
    head = f"HTTP/1.1 {status} x\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    server.behave = saying(head.encode())
    result = get(server)
    assert (result["status_code"], result["headers"]["Location"]) == (status, location)
    assert len(server.heads) == 1
    assert result["url"] == server.url()
    assert result["elapsed_s"] >= 0


@pytest.mark.parametrize(
    ("kind", "body", "text", "encoding"),
    [
        (b"text/plain", "\u20ac".encode(), "\u20ac", "utf-8"),
        (b"text/plain; charset=ISO-8859-1", b"\xe9", "\xe9", "iso-8859-1"),
        (b'text/plain; charset="windows-1252"', b"\x80", "\u20ac", "windows-1252"),
        (b"text/plain; charset=utf-16le", b"a\0", "a", "utf-16le"),
        (b"text/plain; charset=utf-8", b"\xe9", "6Q==", "base64"),
        (b"text/plain; charset=no-such", b"\xe9", "6Q==", "base64"),
        (b"image/png", b"\x89PNG\0", "iVBORwA=", "base64"),
        (b"text/plain; charset=hex", b"6161", "NjE2MQ==", "base64"),
        (b"text/plain; charset=punycode", b"a-9j", "a-9j", "utf-8"),
        (b"text/plain; charset=utf-7", b"+2AA-", "+2AA-", "utf-8"),
        (b"text/plain; charset=unicode_escape", b"\\ud800", "\\ud800", "utf-8"),
        (b"text/plain; charset=raw-unicode-escape", b"\\ud800", "\\ud800", "utf-8"),
        (b"text/plain; charset=idna", b"xn--a", "xn--a", "utf-8"),
        (b"text/plain; charset=undefined", b"a", "a", "utf-8"),
    ],
)
def test_charsets(kind: bytes, body: bytes, text: str, encoding: str, server: Server) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, len(body))
    server.behave = saying(head, body)
    result = get(server)
    assert (result["body"], result["encoding"]) == (text, encoding)
    assert bytes_of(result["body"], result["encoding"]) == body
    as_json(result)


def test_a_charset_that_takes_long_to_read_is_not_read(server: Server) -> None:
    body = b"a" * 100_000 + b"-" + b"b9" * 400_000
    head = b"HTTP/1.1 200 OK\r\nContent-Type: a/b; charset=punycode\r\n\r\n"
    server.behave = saying(head, body)
    assert get(server)["elapsed_s"] < 10


def test_what_is_compressed_all_the_same_stays_so(server: Server) -> None:
    body = gzip.compress(b"x" * 10_000)
    server.behave = saying(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", body)
    result = get(server)
    assert bytes_of(result["body"], result["encoding"]) == body


def test_a_header_that_is_there_twice(server: Server) -> None:
    server.behave = saying(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: \xe9\r\nContent-Length: 0\r\n\r\n")
    headers = get(server)["headers"]
    assert headers["X-A"] == "1, \xe9"
    assert len(headers) == 2


@pytest.mark.parametrize(
    "ending", [b"Content-Length: 5000000\r\n", b"Transfer-Encoding: chunked\r\n", b""]
)
def test_an_endless_body_is_cut(ending: bytes, server: Server) -> None:
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n" if b"chunked" in ending else b"x" * 65536

    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + ending + b"\r\n")
        while not server.is_over.is_set():
            connection.sendall(chunk)

    server.behave = endless
    result = get(server, max_body=100_000)
    assert (result["body"], result["truncated"]) == ("x" * 100_000, True)


@pytest.mark.parametrize("length", [99, 100, 101])
def test_where_it_is_cut(length: int, server: Server) -> None:
    server.behave = saying(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * length)
    result = get(server, max_body=100)
    assert (len(result["body"]), result["truncated"]) == (min(length, 100), length > 100)


def test_a_cut_through_a_character(server: Server) -> None:
    server.behave = saying(b"HTTP/1.1 200 OK\r\n\r\n", "\u20ac".encode() * 10)
    for most in (3, 4, 5):
        result = get(server, max_body=most)
        assert (result["body"], result["encoding"]) == ("\u20ac", "utf-8")


# What does not


@pytest.mark.parametrize(
    "parts",
    [
        (), (b"HTTP/1.1 200",), (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",),
        (b"\x00\xff this is no HTTP \r\n\r\n" * 8,), (b"x" * 300_000,), (b"SSH-2.0-x\r\n",),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 300_000 + b"\r\n\r\n",), (b"HTTP/1.1 99999 x\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 100_000 + b"\r\n",),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\nA b: c\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",),
    ],
)  # fmt: skip
def test_no_answer(parts: tuple[bytes, ...], server: Server) -> None:
    server.behave = saying(*parts)
    assert fails(server)


def drip(server: Server, before: bytes, byte: bytes) -> Behave:
    def behave(connection: socket.socket) -> None:
        connection.sendall(before)
        while not server.is_over.wait(SLOW_S):
            connection.sendall(byte)

    return behave


@pytest.mark.parametrize(
    ("before", "byte"),
    [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\nA: ", b"x"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    ],
)
def test_one_that_drips_has_no_more_time_than_others(
    before: bytes, byte: bytes, server: Server
) -> None:
    server.behave = drip(server, before, byte)
    assert fails(server, within_s=0.5) == "no answer within 0.5 s"


def test_one_that_hardly_reads_has_no_more_time_either(server: Server) -> None:
    body = b"x" * 16 * 2**20
    taken = []

    def hardly(connection: socket.socket) -> None:
        while not server.is_over.wait(SLOW_S) and (chunk := connection.recv(65536)):
            taken.append(len(chunk))

    server.takes_bodies = False
    server.behave = hardly
    assert fails(server, within_s=1.0, method="POST", body=body) == "no answer within 1 s"
    server.is_over.set()
    # Had it been given more time, it would have taken most of it.
    assert sum(taken) < len(body) / 2
