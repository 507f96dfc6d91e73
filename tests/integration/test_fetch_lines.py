"""Connections that are kept for the next request, and servers that close them."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from cyme_supd.domain.target import Address, Policy
from cyme_supd.domain.task import UrlRequest
from cyme_supd.workers import connecting
from cyme_supd.workers.fetch import FetchFailed, fetch
from tests.integration.raw_server import OK, Server, serving
from tests.support import eventually

INSIDE = Policy(is_loopback_allowed=True)


class Talker:
    """A server that answers *most* requests on a connection, and counts both."""

    def __init__(self, server: Server, most: int = 1000) -> None:
        self.most = most
        self.connections = 0
        self.requests: list[bytes] = []
        self.last = OK
        self.closed = threading.Event()
        server.is_deaf = True
        server.behave = self.talk

    def talk(self, connection: socket.socket) -> None:
        self.connections += 1
        for number in range(self.most):
            got = b""
            while b"\r\n\r\n" not in got:
                chunk = connection.recv(65536)
                if not chunk:
                    return
                got += chunk
            self.requests.append(got.partition(b" ")[0])
            connection.sendall(self.last if number == self.most - 1 else OK)
        connection.close()
        self.closed.set()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def get(server: Server, method: str = "GET", **given: Any) -> dict[str, Any]:
    return fetch(UrlRequest(method, server.url()), **{"policy": INSIDE, "timeout_s": 10, **given})


def test_the_same_server_is_asked_on_the_same_connection(server: Server) -> None:
    talker = Talker(server)
    for method in ("GET", "PUT", "HEAD"):
        assert get(server, method)["status_code"] == 200
    assert (talker.connections, len(talker.requests)) == (1, 3)


def test_what_may_not_be_sent_twice_has_a_connection_of_its_own(server: Server) -> None:
    talker = Talker(server)
    for method in ("GET", "POST", "POST", "PATCH"):
        get(server, method)
    assert talker.connections == 4


def test_another_server_has_another_connection(server: Server) -> None:
    one = Talker(server)
    with serving() as second:
        other = Talker(second)
        for each in (server, second, server):
            get(each)
    assert (one.connections, other.connections) == (2, 1)


def test_one_that_the_server_has_closed_is_not_used(server: Server) -> None:
    talker = Talker(server, most=1)
    for _ in range(3):
        talker.closed.clear()
        assert get(server)["body"] == "ok"
        eventually(talker.closed.is_set)
    assert talker.requests == [b"GET"] * 3


def test_closed_in_the_moment_it_is_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    talker = Talker(server, most=1)
    assert get(server)["body"] == "ok"
    eventually(talker.closed.is_set)
    # As if the end had not arrived yet.
    monkeypatch.setattr(connecting.Line, "is_good_for", lambda *_: True)
    assert get(server)["body"] == "ok"
    assert (talker.connections, talker.requests) == (2, [b"GET", b"GET"])


def test_broken_in_the_middle_of_an_answer_is_no_answer(server: Server) -> None:
    talker = Talker(server, most=2)
    talker.last = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"
    get(server)
    with pytest.raises(FetchFailed):
        get(server)
    assert len(talker.requests) == 2


def test_each_request_has_its_own_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    talker = Talker(server)
    get(server, timeout_s=0.5)
    assert not server.is_over.wait(0.6)
    get(server, timeout_s=0.5)
    assert talker.connections == 1


def test_kept_for_a_while_only(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    talker = Talker(server)
    get(server)
    monkeypatch.setattr(connecting, "KEPT_S", 0.0)
    get(server)
    assert talker.connections == 2


def test_a_name_that_means_something_else_now(server: Server) -> None:
    """The address is checked for each request; a kept connection does not go around that."""
    talker = Talker(server)
    url = f"http://localhost:{server.port}/"

    def asked(*found: str) -> dict[str, Any]:
        addresses: list[Address] = [ipaddress.ip_address(each) for each in found]
        return fetch(
            UrlRequest("GET", url), INSIDE, resolve=lambda *_: iter(addresses), timeout_s=10
        )

    asked("127.0.0.1")
    asked("127.0.0.1")
    assert talker.connections == 1
    with pytest.raises(FetchFailed, match=r"169\.254"):
        asked("169.254.169.254")
    asked("127.0.0.1")
    with pytest.raises(FetchFailed):
        asked("127.0.0.1", "169.254.169.254")
    assert len(talker.requests) == 3
