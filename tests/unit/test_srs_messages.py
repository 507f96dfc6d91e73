"""What messages of the SRS interface may say, and why others are dropped."""

from __future__ import annotations

from typing import Any

import pytest

from cyme_supd.errors import Invalid
from cyme_supd.srs.messages import MAX_SIZE, Creation, State, Update, creation, read, update

PARTS = {"hostname": "h", "port": 5673, "userid": "u", "password": "p", "virtual_host": "v"}


def test_a_json_object() -> None:
    for kind in ("application/json", "Application/JSON; charset=utf-8"):
        assert read(kind, b'{"id": "w1"}') == {"id": "w1"}
    assert read("application/json", '{"id": "w1"}') == {"id": "w1"}


@pytest.mark.parametrize(
    ("kind", "body", "why"),
    [
        ("application/x-python-serialize", b"\x80\x04N.", "content type"),
        ("text/plain", b"{}", "content type"),
        (None, b"{}", "content type"),
        ("application/json", b"{", "not readable as JSON"),
        ("application/json", b"\xff", "not readable as JSON"),
        ("application/json", b'{"a": 1, "a": 2}', "not readable as JSON"),
        ("application/json", b"[" * 100_000, "longer than"),
        ("application/json", b"[" * (MAX_SIZE - 1), "not readable as JSON"),
        ("application/json", b"[]", "no JSON object"),
        ("application/json", b"null", "no JSON object"),
    ],
)
def test_what_is_none(kind: str | None, body: bytes, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        read(kind, body)


@pytest.mark.parametrize(
    ("said", "broker"),
    [
        ({}, None),
        ({"hostname": None, "password": None}, None),
        ({"hostname": "h"}, "amqp://guest:guest@h:5672//"),
        (PARTS, "amqp://u:p@h:5673/v"),
        ({**PARTS, "port": "5673"}, "amqp://u:p@h:5673/v"),
        ({"hostname": "h", "transport": "redis", "virtual_host": "3"}, "redis://h:6379/3"),
    ],
)
def test_an_instance_to_be(said: dict[str, Any], broker: str | None) -> None:
    assert creation({"id": "w1", **said}) == Creation("w1", broker)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, "not a name"),
        ({"id": None}, "not a name"),
        ({"id": 7}, "not a name"),
        ({"id": "a b"}, "not a name"),
        ({"id": "../w1"}, "not a name"),
        ({"id": "cyme"}, "reserved"),
        ({"id": "w1", "hostnme": "h"}, "did you mean 'hostname'"),
        ({"id": "w1", "x\n" * 99: 1}, "not known"),
        ({"id": "w1", "port": 5672}, "without its hostname"),
        ({"id": "w1", "hostname": ["h"]}, "hostname: not text"),
        ({"id": "w1", "hostname": "h", "password": 7}, "password: not text"),
        ({"id": "w1", "hostname": "h", "port": True}, "port: not a number"),
        ({"id": "w1", "hostname": "h", "port": 1.5}, "port: not a number"),
        ({"id": "w1", "hostname": "h", "port": "x"}, "port: not a number"),
        ({"id": "w1", "hostname": "h", "port": 0}, "port"),
        ({"id": "w1", "hostname": "h", "port": "9" * 5000}, "port"),
        ({"id": "w1", "hostname": "h/../x"}, "host"),
        ({"id": "w1", "hostname": "h", "password": "********"}, "masked"),
        ({"id": "w1", "hostname": "h", "userid": "a\0b"}, "NUL"),
        ({"id": "w1", "hostname": "h", "transport": "sqs"}, "transport"),
    ],
)
def test_no_instance_to_be(said: dict[str, Any], why: str) -> None:
    with pytest.raises(Invalid, match=why) as refused:
        creation(said)
    # Into a line of the log.
    assert len(str(refused.value).splitlines()) == 1
    assert len(str(refused.value)) < 400


def test_updates() -> None:
    assert update("w1", {"state": "stopping"}) == Update("w1", State.STOPPING)
    assert update("w1", {"id": "w1", "state": "deleting", "more": 1}) == Update(
        "w1", State.DELETING
    )


@pytest.mark.parametrize(
    ("key", "said", "why"),
    [
        ("w1", {}, "is no state"),
        ("w1", {"state": "running"}, "stopping, deleting"),
        ("w1", {"state": ["stopping"]}, "is no state"),
        ("w1", {"state": "stopping", "id": "w2"}, "it is for w1"),
        ("w1", {"state": "stopping", "id": None}, "it is for w1"),
        ("#", {"state": "stopping"}, "not a name"),
        ("", {"state": "stopping"}, "not a name"),
    ],
)
def test_what_is_no_update(key: str, said: dict[str, Any], why: str) -> None:
    with pytest.raises(Invalid, match=why):
        update(key, said)
