"""The client before servers that behave in many ways, over real sockets."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

import pytest

from cyme_supd.client import (
    Client,
    CymeError,
    Forbidden,
    Incomplete,
    Internal,
    Invalid,
    NoAnswer,
    NotFound,
    SpawnFailed,
    Unauthorized,
    Unavailable,
    connection,
    tries,
)
from tests.integration.raw_server import Behave, Server, saying, serving
from tests.services import free_port


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def client(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr(tries, "PAUSES_S", (0.0, 0.0))
    with Client(server.url(), token="t0ken") as client:
        yield client


def answer(status: int, value: Any, *headers: str) -> Behave:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return saying("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def refusal(status: int, code: str, *headers: str) -> Behave:
    words = {"code": code, "message": "what", "hint": "do this"}
    return answer(status, {"error": words}, *headers)


def in_turn(*ways: Behave) -> Behave:
    """Each connection another way; the last for all that follow."""
    each = chain(ways, repeat(ways[-1]))
    return lambda connection: next(each)(connection)


def waits(server: Server) -> None:
    server.is_over.wait(30)


def closing(_: socket.socket) -> None:
    """No answer."""


def test_a_call_as_it_is_sent(server: Server, client: Client) -> None:
    server.behave = answer(200, {"created_at": "now"})
    client.add("foo", environment={"A": "ü"}, pool="solo")

    (head,) = server.heads
    assert head.startswith("PUT /foo/ HTTP/1.1\r\n")
    assert "authorization: bearer t0ken" in head.lower()
    assert json.loads(server.bodies[0]) == {
        "environment": {"A": "ü"},
        "pool": "solo",
        "timeout": 30.0,
    }


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("a/b", "a%2Fb"),
        ("..", "%2E%2E"),
        ("ü !", "%C3%BC%20%21"),
        ("%2F", "%252F"),
        ("a?#", "a%3F%23"),
    ],
)
def test_a_name_is_one_segment_of_the_path(
    name: str, segment: str, server: Server, client: Client
) -> None:
    app = _app(server, client)
    app.queues.add(name)
    app.queues.delete(name, nowait=True)
    paths = [head.split(" ")[1].partition("?")[0] for head in server.heads[1:]]
    assert paths == [f"/foo/queues/{segment}/", f"/foo/queues/!/{segment}/"]


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tries, "PAUSES_S", (0.0, 0.0))
    url = f"http://user:hidden@127.0.0.1:{free_port()}"
    with Client(url) as client, pytest.raises(Unavailable, match="no connection") as lost:
        client.all_names()
    assert "cyme-branch" in lost.value.hint
    assert "hidden" not in str(lost.value)
    assert "hidden" not in repr(client)


@pytest.mark.parametrize("odd", [closing, refusal(503, "unavailable"), answer(502, b"<html>")])
def test_what_may_be_sent_twice_is(odd: Behave, server: Server, client: Client) -> None:
    server.behave = in_turn(odd, odd, answer(200, ["foo"]))
    assert client.all_names() == ["foo"]
    assert len(server.heads) == 3


def test_not_for_ever(server: Server, client: Client) -> None:
    server.behave = refusal(503, "unavailable")
    with pytest.raises(Unavailable, match="what"):
        client.all_names()
    assert len(server.heads) == 3


@pytest.mark.parametrize("odd", [closing, refusal(503, "unavailable"), answer(502, b"<html>")])
def test_what_may_have_been_done_is_not_done_twice(
    odd: Behave, server: Server, client: Client
) -> None:
    app = _app(server, client)
    server.behave = odd
    for act in (
        lambda: app.instances.add(),
        lambda: app.send("http://h/", "tasks"),
        lambda: app.restart(),
    ):
        server.heads.clear()
        with pytest.raises(Unavailable):
            act()
        assert len(server.heads) == 1


def _app(server: Server, client: Client) -> Any:
    server.behave = answer(200, {"name": "foo"})
    return client.get("foo")


def test_what_was_too_often_is_sent_again(server: Server, client: Client) -> None:
    app = _app(server, client)
    server.behave = in_turn(refusal(429, "rate_limited"), answer(202, {"uuids": ["7"]}))
    assert app.send("http://h/", "tasks").id == "7"


def test_what_asks_for_a_state_is_sent_again(server: Server, client: Client) -> None:
    app = _app(server, client)
    server.heads.clear()
    server.behave = in_turn(closing, answer(200, {"ok": "ok"}))
    assert app.stop() == {"ok": "ok"}
    assert [head.split(" ", 1)[0] for head in server.heads] == ["POST", "POST"]


def test_what_is_gone_by_a_try_that_nobody_answered_is_deleted(
    server: Server, client: Client
) -> None:
    app = _app(server, client)
    server.behave = in_turn(closing, refusal(404, "not_found"))
    assert app.delete() is None
    server.behave = refusal(404, "not_found")
    with pytest.raises(NotFound):
        app.delete()


def test_a_branch_s_word_is_not_asked_for_again(server: Server, client: Client) -> None:
    server.behave = refusal(502, "spawn_failed")
    with pytest.raises(SpawnFailed, match="what"):
        client.request("PUT", "/foo/instances/w1/")
    assert len(server.heads) == 1


def test_it_waits_as_long_as_it_is_told_and_no_longer_than_it_has(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("cyme_supd.client.tries.time.sleep", slept.append)
    server.behave = refusal(503, "unavailable", "Retry-After: 2")
    for timeout, pauses in ((30, [2.0, 2.0]), (1, [])):
        slept.clear()
        with Client(server.url(), timeout=timeout) as client, pytest.raises(Unavailable):
            client.ping()
        assert slept == pauses


def test_who_does_not_answer_in_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MARGIN_S", 0.1)
    server.behave = lambda _: waits(server)
    with (
        Client(server.url(), timeout=0.1) as client,
        pytest.raises(NoAnswer, match=r"within 0\.2 s"),
    ):
        client.all_names()
    assert len(server.heads) == 1


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "not_found", NotFound),
        (403, "forbidden", Forbidden),
        (504, "timeout", NoAnswer),
        (418, "of_a_later_version", CymeError),
    ],
)
def test_an_error_is_rebuilt(
    status: int, code: str, kind: type[CymeError], server: Server, client: Client
) -> None:
    server.behave = refusal(status, code)
    with pytest.raises(kind) as raised:
        client.ping()
    error = raised.value
    assert (error.code, error.message, error.hint, error.http) == (code, "what", "do this", status)


@pytest.mark.parametrize(
    ("odd", "kind"),
    [
        (answer(200, b"<html>", "Content-Type: text/html"), Internal),
        (answer(302, b"", "Location: http://127.0.0.1:1/"), Internal),
        (answer(500, b"oops"), Internal),
        (answer(401, b"who?"), Unauthorized),
        (answer(200, ["a list"]), Internal),
    ],
)
def test_what_is_no_branch(
    odd: Behave, kind: type[CymeError], server: Server, client: Client
) -> None:
    server.behave = odd
    with pytest.raises(kind) as raised:
        client.get("foo")
    assert type(raised.value) is kind
    assert raised.value.hint


def test_branches_that_did_not_answer_are_named(server: Server, client: Client) -> None:
    server.behave = answer(200, ["foo"], "Cyme-Unknown: b2, b3")
    with pytest.warns(Incomplete, match="no word from b2, b3"):
        assert client.all_names() == ["foo"]
    server.behave = answer(200, {"ok": "ok", "is_draining": True}, "Cyme-Unknown: b2")
    with pytest.warns(Incomplete, match="no word from b2"):
        client.drain("b1")


def test_what_is_no_path(client: Client) -> None:
    with pytest.raises(Invalid, match="slash"):
        client.request("GET", "foo/")


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://h/", "http://", "http://h:port", "http://h/?a=b", "x"]
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(Invalid, match="url"):
        Client(url)


def test_what_is_no_token() -> None:
    with pytest.raises(Invalid, match="token"):
        Client(token="a\r\nb")


def test_what_the_environment_says(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYME_URL", server.url("/below/"))
    monkeypatch.setenv("CYME_TOKEN", "fr0m-there")
    server.behave = answer(200, ["foo"])
    with Client() as client:
        assert client.all_names() == ["foo"]
    assert server.heads[0].startswith("GET /below/?limit=")
    assert "fr0m-there" in server.heads[0]
    monkeypatch.delenv("CYME_URL")
    assert repr(Client()) == "<Client: 'http://127.0.0.1:8000'>"
