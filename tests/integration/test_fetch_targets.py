"""Where requests of workers go: to the address that was checked, and to no other."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cyme_supd.domain.target import Address, Policy
from cyme_supd.domain.task import UrlRequest
from cyme_supd.workers.connecting import resolve
from cyme_supd.workers.fetch import FetchFailed, fetch
from cyme_supd.workers.outgoing import as_json
from tests.integration.raw_server import OK, Server, saying, serving

INSIDE = Policy(is_loopback_allowed=True)
OUTSIDE = Policy()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


class Names:
    """Resolves a name to one list of addresses after the other, then to the last again."""

    def __init__(self, *answers: Iterable[str]) -> None:
        self._answers = [[ipaddress.ip_address(each) for each in answer] for answer in answers]
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> list[Address]:
        self.asked.append((host, port))
        return self._answers[min(len(self.asked), len(self._answers)) - 1]


def ask(url: str, policy: Policy = INSIDE, **given: Any) -> dict[str, Any]:
    return fetch(UrlRequest("GET", url), policy, timeout_s=10.0, **given)


def refused(url: str, policy: Policy = INSIDE, **given: Any) -> str:
    with pytest.raises(FetchFailed) as caught:
        ask(url, policy, **given)
    return str(caught.value)


def test_the_address_that_was_checked_is_the_one_connected_to(server: Server) -> None:
    names = Names(["127.0.0.2"], ["127.0.0.3"])
    with serving("127.0.0.2") as other:
        assert ask(f"http://rebinding.example:{other.port}/", resolve=names)["body"] == "ok"
        assert (other.peers, server.peers) == (["127.0.0.2"], [])
        assert f"Host: rebinding.example:{other.port}" in other.heads[0]
        assert names.asked == [("rebinding.example", other.port)]


def test_a_name_that_means_something_else_the_second_time(server: Server) -> None:
    # To look it up once more would be to connect to what was never checked.
    names = Names(["203.0.113.1"], ["127.0.0.1"])
    policy = Policy(deny=("203.0.113.0/24",), is_loopback_allowed=True)
    url = f"http://rebinding.example:{server.port}/"
    assert "rebinding.example (203.0.113.1)" in refused(url, policy, resolve=names)
    assert len(names.asked) == 1
    assert server.peers == []
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    assert ask(url, resolve=names)["status_code"] == 200
    assert "169.254.169.254" in refused(url, resolve=names)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "fe80::1",
        "100.100.100.200",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "224.0.0.1",
        "255.255.255.255",
    ],
)
def test_a_name_that_hides_where_it_leads(address: str, server: Server) -> None:
    url = f"http://innocent.example:{server.port}/"
    for addresses in ([address], ["127.0.0.1", address]):
        assert "innocent.example (" in refused(url, resolve=Names(addresses))
    assert server.peers == []


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"]
)
def test_a_name_for_loopback(address: str, server: Server) -> None:
    url = f"http://innocent.example:{server.port}/"
    assert "it is loopback" in refused(url, OUTSIDE, resolve=Names([address]))
    own = Policy(is_loopback_allowed=True, ports=(server.port,))
    assert "the branch's own" in refused(url, own, resolve=Names([address]))
    assert server.peers == []


def test_own_ports_by_an_address_of_this_host() -> None:
    host = next(
        each.address
        for each_of in psutil.net_if_addrs().values()
        for each in each_of
        if each.family == socket.AF_INET and not ipaddress.ip_address(each.address).is_loopback
    )
    with serving(host) as server:
        own = Policy(ports=(server.port,))
        for url in (f"http://{host}:{server.port}/", f"http://[::ffff:{host}]:{server.port}/"):
            assert "the branch's own" in refused(url, own)
        named = f"http://me.example:{server.port}/"
        assert "the branch's own" in refused(named, own, resolve=Names([host]))
        assert server.peers == []
        assert ask(named, OUTSIDE, resolve=Names([host]))["body"] == "ok"


def test_a_literal_is_not_looked_up(server: Server) -> None:
    names = Names(["127.0.0.9"])
    for host in ("127.0.0.1", "2130706433", "0x7f.1"):
        assert ask(f"http://{host}:{server.port}/", resolve=names)["status_code"] == 200
    assert names.asked == []
    assert server.peers == ["127.0.0.1"] * 3
    assert all(f"Host: 127.0.0.1:{server.port}" in head for head in server.heads)


def test_the_policy_holds_for_what_was_queued_before_it(server: Server) -> None:
    assert "it is loopback" in refused(server.url(), OUTSIDE)
    assert "--url-deny" in refused(server.url(), Policy(deny=("127.*",), is_loopback_allowed=True))
    assert "scheme" in refused("file:///etc/passwd")
    assert server.peers == []


def test_the_next_address_where_one_refuses(server: Server) -> None:
    names = Names(["::1", "127.0.0.77", "127.0.0.1"])
    assert ask(f"http://several.example:{server.port}/", resolve=names)["body"] == "ok"


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert "ConnectError" in refused(f"http://127.0.0.1:{port}/")
    assert "no address" in refused("http://empty.example/", resolve=Names([]))
    assert "gaierror" in refused("http://does-not-exist.invalid/")
    # No resolver takes these for names.
    for host in ("a..b", f"{'a' * 64}.example"):
        assert refused(f"http://{host}/")


def test_names_of_this_host_are_found() -> None:
    found = resolve("localhost", 80)
    assert ipaddress.ip_address("127.0.0.1") in found
    assert len(found) == len(set(found))


def test_one_that_never_answers_a_connection_has_its_time() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        for _ in range(3):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
            waiting.append(one)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(FetchFailed, match=r"no answer within 0\.3 s"):
            fetch(UrlRequest("GET", url), INSIDE, timeout_s=0.3)
        for one in waiting:
            one.close()


def test_what_is_no_tls(server: Server) -> None:
    server.is_deaf = True
    server.behave = saying(b"HTTP/1.1 400 this is plain\r\n\r\n")
    assert "ConnectError" in refused(f"https://127.0.0.1:{server.port}/")


PIECES = st.sampled_from(
    (
        b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 ", b"200", b"\r\n", b"\n", b"Content-Length: 3\r\n",
        b"0\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Type: a; charset=", b"utf-16", b": ",
        b"3\r\nabc\r\n", b"Connection: close\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"\xff", b"\0",
    )
)  # fmt: skip


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.one_of(PIECES, st.binary(max_size=20)), max_size=12), after=st.booleans())
def test_whatever_a_server_says(parts: list[bytes], after: bool, server: Server) -> None:
    server.behave = saying(*([OK[:17]] if after else []), *parts)
    with suppress(FetchFailed):
        result = ask(server.url())
        as_json(result)
        assert 200 <= result["status_code"] < 1000
