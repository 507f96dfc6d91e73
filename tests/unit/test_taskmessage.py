"""Celery's messages, as it sends them and as nobody should."""

from __future__ import annotations

import base64
import json
import pickle
import re
from contextlib import suppress
from typing import Any

import pytest
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st

from cyme_supd.domain.ledger import MOST_TEXT
from cyme_supd.domain.taskmessage import (
    BODY,
    CONTENT,
    MOST_BODY,
    NO_ID,
    NO_TASK,
    Message,
    Redaction,
    Refused,
    parse,
    payload,
)


def sent(*args: Any, protocol: int = 2, **kwargs: Any) -> Message:
    """As Celery makes it."""
    app = Celery("shop", set_as_current=False)
    make = app.amqp.as_task_v2 if protocol == 2 else app.amqp.as_task_v1
    made = make("t1", "mail.send", args, kwargs, retries=1, root_id="r1", parent_id="p1")
    return Message(json.dumps(made.body).encode(), headers=made.headers, routing_key="mail")


def refused(message: Message) -> str:
    with pytest.raises(Refused) as caught:
        parse(message, 1.0)
    return caught.value.reason


def test_what_celery_sends() -> None:
    record = parse(sent("ann", subject="hello"), 7.0)
    assert (record.id, record.state, record.states["SENT"].first) == ("t1", "SENT", 7.0)
    wanted = {
        "name": "mail.send",
        "retries": 1,
        "root": "r1",
        "parent": "p1",
        "group": None,
        "eta": None,
        "routing_key": "mail",
        "args": "('ann',)",
        "kwargs": "{'subject': 'hello'}",
        "nesting": 0,
    }
    assert {name: record.get(name) for name in wanted} == wanted
    assert "@" in record.get("producer")


def test_the_first_protocol() -> None:
    record = parse(sent("ann", protocol=1, subject="hello"), 7.0)
    assert (record.id, record.get("name"), record.get("retries")) == ("t1", "mail.send", 1)
    assert (record.get("args"), record.get("kwargs")) == ('["ann"]', '{"subject": "hello"}')


@pytest.mark.parametrize("protocol", [1, 2])
@pytest.mark.parametrize("is_wrapped", [True, False])
def test_what_is_sent_again(protocol: int, is_wrapped: bool) -> None:
    message = sent("ann", 1, protocol=protocol, subject=None)
    if is_wrapped:
        body = base64.b64encode(message.body)  # type: ignore[arg-type]
        properties = {"body_encoding": "base64"}
        message = Message(body.decode(), headers=message.headers, properties=properties)
    assert payload(message) == (["ann", 1], {"subject": None})


HEADERS = {"task": "mail.send", "id": "t1"}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Message(b"{}"), NO_TASK),
        (Message(b"hello"), BODY),
        (Message(b""), BODY),
        (Message(b"\xff\xfe"), BODY),
        (Message(b"[1, 2]"), NO_TASK),
        (Message(b'"task"'), NO_TASK),
        (Message(b"[" * 100_000), BODY),
        (Message(b"1" * 10_000), BODY),
        (Message(b'{"task": 1, "id": "t1"}'), NO_TASK),
        (Message(b'{"task": "x"}'), NO_ID),
        (Message(b"{}", headers=["task"]), NO_TASK),  # type: ignore[arg-type]
        (Message(b"{}", properties=["x"]), NO_TASK),  # type: ignore[arg-type]
        (Message(b"{}", headers={"task": None, "id": "t1"}), NO_TASK),
        (Message(b"{}", headers={"task": "x", "id": ["t1"]}), NO_ID),
        (Message(b"{}", headers={"task": "x", "id": "t\0"}), NO_ID),
        (Message(b"{}", headers={"task": "x", "id": "\ud800"}), NO_ID),
        (Message(b"{}", headers={"task": "x", "id": "t" * 256}), NO_ID),
        (Message(pickle.dumps(1), "application/x-python-serialize", headers=HEADERS), CONTENT),
        (Message(b"a: 1", "application/x-yaml", headers=HEADERS), CONTENT),
        (Message(b"{}", None, headers=HEADERS), CONTENT),  # type: ignore[arg-type]
        (Message("!", properties={"body_encoding": "base64"}), BODY),
        (Message(b" " * (MOST_BODY + 1)), BODY),
    ],
)
def test_what_is_refused(message: Message, reason: str) -> None:
    assert refused(message) == reason


def test_ten_megabytes_are_recorded_by_their_headers() -> None:
    message = sent("x" * 10_000_000)
    record = parse(message, 1.0)
    assert record.get("name") == "mail.send"
    assert len(record.get("args")) <= MOST_TEXT
    with pytest.raises(Refused, match="bytes"):
        payload(message)


@pytest.mark.parametrize("body", [b'{"args": 1}', b"[]", b"[1]", b"[[], []]", b"null", b"[{}, {}]"])
def test_what_cannot_be_sent_again(body: bytes) -> None:
    with pytest.raises(Refused):
        payload(Message(body, headers=HEADERS))


@pytest.mark.parametrize(
    ("kwargs", "kept"),
    [
        ({"password": "s3cr3t"}, "{'password': ********}"),
        ({"user": "ann", "api_key": "s3cr3t, x"}, "{'user': 'ann', 'api_key': ********}"),
        ({"password": 'it\'s a "s3cr3t"', "n": 1}, "{'password': ********, 'n': 1}"),
        ({"a": {"auth_token": "s3cr3t"}}, "{'a': {'auth_token': ********}}"),
        ({"url": "redis://u:s3cr3t@h/0"}, "{'url': 'redis://u:********@h/0'}"),
        ({"card": "4111-1111"}, "{'card': '********'}"),
        ({"pass_on": "ann"}, "{'pass_on': 'ann'}"),
    ],
)
def test_secrets_are_not_kept(kwargs: dict[str, Any], kept: str) -> None:
    redaction = Redaction(patterns=(re.compile(r"\d{4}-\d{4}"),))
    assert parse(sent(**kwargs), 1.0, redaction).get("kwargs") == kept


@pytest.mark.parametrize("name", ["mail.send", "mail.*"])
def test_arguments_of_some_tasks_are_not_kept(name: str) -> None:
    record = parse(sent("s3cr3t", a="s3cr3t"), 1.0, Redaction(tasks=(name,)))
    assert (record.get("args"), record.get("kwargs")) == ("********", "********")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
NAMES = st.sampled_from(["task", "id", "retries", "argsrepr", "root_id", "origin", "args", "eta"])


@given(
    st.binary(max_size=30) | JSON.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(NAMES, JSON),
    st.dictionaries(st.sampled_from(["body_encoding"]), st.sampled_from(["base64", "x", None])),
)
def test_anything_is_a_task_or_is_refused(
    body: bytes, headers: dict[str, Any], properties: dict[str, Any]
) -> None:
    message = Message(body, headers=headers, properties=properties)
    for read in (lambda: parse(message, 1.0), lambda: payload(message)):
        # Whatever else is raised would stop who reads the queue.
        with suppress(Refused):
            read()
