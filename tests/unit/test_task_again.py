"""The message that repeats a task."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from cyme_supd.domain.ledger import observed
from cyme_supd.domain.ledgerstore import NEVER_RECEIVED, Tracked
from cyme_supd.domain.taskagain import (
    NOT_KEPT,
    NOT_OVER,
    RETRIED,
    LeftOut,
    again,
    announced,
    check_first,
    check_over,
)


def task(id: str = "t1", state: str = "FAILURE", lost: str | None = None, **facts: Any) -> Tracked:
    told = {"name": "mail.send", "args": "('ann',)", "routing_key": "mail", **facts}
    return Tracked(1, "s", 1, observed(id, 1.0, state, 0, **told), lost)


def kept(body: Any, **more: Any) -> str:
    headers = {
        "task": "mail.send",
        "lang": "py",
        "eta": "2020-01-01T00:00:00",
        "expires": "2020-01-01T00:00:00",
        "group": "g",
        "retries": 3,
        "timelimit": [None, 5],
    }
    said = {"headers": headers, "body": body, "encoding": "utf-8", "routing_key": "mail"}
    return json.dumps({**said, **more})


EMBED = {"callbacks": [{"task": "b"}], "errbacks": None, "chain": [{"task": "c"}], "chord": None}


def test_it_is_a_child_of_the_first_and_begins_at_once() -> None:
    body = '[["ann", 1.10], {"n": 1}, {"callbacks": null, "chain": [1], "chord": null}]'
    letter = again(task(root="r0"), kept(body), "t2", "cyme@b1")
    assert (letter.id, letter.of, letter.routing_key, letter.encoding) == (
        "t2",
        "t1",
        "mail",
        "utf-8",
    )
    # As it was written: 1.10 stays that.
    assert letter.body == body
    assert letter.headers == {
        "task": "mail.send",
        "lang": "py",
        "timelimit": [None, 5],
        "id": "t2",
        "root_id": "r0",
        "parent_id": "t1",
        "retries": 0,
        "origin": "cyme@b1",
        "argsrepr": "('ann',)",
    }


def test_one_without_a_root_is_the_root() -> None:
    assert again(task(), kept("[[], {}, {}]"), "t2", "").headers["root_id"] == "t1"


def test_a_chord_is_not_counted_twice_and_what_follows_stays() -> None:
    body = json.dumps([[1], {}, {**EMBED, "chord": {"task": "total"}}])
    made = json.loads(again(task(), kept(body), "t2", "").body)
    assert made == [[1], {}, EMBED]


def test_bodies_as_redis_has_them() -> None:
    body = base64.b64encode(b'[["\xc3\xbc"], {}, {}]').decode()
    assert again(task(), kept(body, wrapped="base64"), "t2", "").body == '[["ü"], {}, {}]'


def test_the_first_protocol_has_all_in_its_body() -> None:
    body = {"task": "mail.send", "id": "t1", "args": [1], "eta": "x", "retries": 2, "taskset": "g"}
    letter = again(task(), kept(json.dumps(body), headers={}), "t2", "")
    made = json.loads(letter.body)
    assert (made["id"], made["args"], made["retries"], made["eta"], made["taskset"]) == (
        "t2",
        [1],
        0,
        None,
        None,
    )


def test_what_was_not_kept_cannot_be_sent() -> None:
    with pytest.raises(LeftOut) as caught:
        again(task(), None, "t2", "")
    assert caught.value.reason == NOT_KEPT


@pytest.mark.parametrize("state", ["SENT", "RECEIVED", "STARTED", "RETRY"])
def test_what_has_not_ended_may_still_run(state: str) -> None:
    with pytest.raises(LeftOut) as caught:
        check_over(task(state=state))
    assert caught.value.reason == NOT_OVER
    check_over(task(state=state, lost=NEVER_RECEIVED))


def test_one_retry_at_a_time() -> None:
    for state in ("SENT", "STARTED", "RETRY", "SUCCESS"):
        with pytest.raises(LeftOut) as caught:
            check_first(task(), [task("r1", "FAILURE"), task("r2", state)])
        assert caught.value.reason == RETRIED
        assert "'r2'" in caught.value.message
    for state in ("FAILURE", "REVOKED", "REJECTED"):
        check_first(task(), [task("r1", state)])
    check_first(task(), [task("r1", "SENT", lost=NEVER_RECEIVED)])


def test_it_is_known_of_before_it_is_sent() -> None:
    first = task(root="r0")
    record = announced(again(first, kept("[[], {}, {}]"), "t2", ""), first, 5.0)
    assert (record.id, record.state) == ("t2", "SENT")
    told = {name: record.get(name) for name in ("name", "parent", "root", "retry_of", "args")}
    assert told == {
        "name": "mail.send",
        "parent": "t1",
        "root": "r0",
        "retry_of": "t1",
        "args": "('ann',)",
    }


@pytest.mark.parametrize(
    "message",
    [
        kept(base64.b64encode(b"\x78\x9c\xab\xae").decode(), wrapped="base64"),
        kept("no base64", wrapped="base64"),
        kept("[["),
        "{",
    ],
    ids=["compressed", "not base64", "no body", "no message"],
)
def test_what_cannot_be_read_is_left_out(message: str) -> None:
    with pytest.raises(LeftOut) as raised:
        again(task(), message, "t2", "cyme@b1")
    assert raised.value.reason == NOT_KEPT
