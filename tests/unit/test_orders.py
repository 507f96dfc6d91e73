"""What dispatcher and runner say: the same on both sides, and nothing that only looks like it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cyme_supd.domain.orders import (
    MAX_TAIL,
    Alive,
    Cancel,
    Claim,
    Ended,
    Grant,
    Message,
    Order,
    Output,
    Reason,
    Refusal,
    RunEnd,
    Started,
    Withdrawal,
    from_wire,
    to_wire,
)
from cyme_supd.errors import Invalid

RUN = "a58acc7d-e44b-5d15-aadb-e45abdd2244c"
NONCE = "0123456789abcdef" * 2
AT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
GRANT = Grant(
    RUN, NONCE, "j1", "n\u20ac", "c", AT, "echo\n1", None, {"A": "b=c"}, "nobody", 2.5, 10
)
ENDED = Ended(RUN, NONCE, RunEnd.FAILED, 3, None, None, AT, AT, 2, False, b"\xff\n", "h", "w1", 17)
ALL: list[Message] = [
    Order(RUN, "j1", "cyme.results.b1"),
    Claim(RUN, "j1", NONCE, "cyme.runner.x", "h", "w1", 17),
    GRANT,
    replace(GRANT, command=None, argv=("a", "", "b c"), user=None, timeout_s=None),
    Refusal(RUN, NONCE, Reason.CLAIMED),
    Cancel(RUN, NONCE),
    Withdrawal(RUN, NONCE),
    Started(RUN, NONCE, 17, AT),
    Alive(RUN, NONCE, AT),
    Output(RUN, NONCE, 10**10, bytes(range(256))),
    ENDED,
    replace(ENDED, exit_code=None, signal=9, status=RunEnd.TIMED_OUT, tail=b"x" * MAX_TAIL),
]


@pytest.mark.parametrize("said", ALL, ids=lambda said: type(said).__name__)
def test_it_comes_as_it_was_said(said: Message) -> None:
    assert from_wire(json.loads(json.dumps(to_wire(said)))) == said


@pytest.mark.parametrize("said", ALL, ids=lambda said: type(said).__name__)
def test_nothing_is_missing_and_nothing_more(said: Message) -> None:
    wire = to_wire(said)
    for name in wire:
        with pytest.raises(Invalid):
            from_wire({key: value for key, value in wire.items() if key != name})
    with pytest.raises(Invalid):
        from_wire({**wire, "more": 1})


@pytest.mark.parametrize("said", ALL, ids=lambda said: type(said).__name__)
def test_no_field_is_of_another_kind(said: Message) -> None:
    wire = to_wire(said)
    for name in wire:
        for odd in ([], {}, [[]], {"a": {}}, -1, 1.5, float("nan"), "\0", "\ud800", object()):
            if (name == "timeout_s" and odd == 1.5) or (name == "environment" and odd == {}):
                continue
            with pytest.raises(Invalid):
                from_wire({**wire, name: odd})


@pytest.mark.parametrize(
    "given",
    [
        {"run": RUN.upper()},
        {"run": RUN.replace("-", "")},
        {"run": "../../etc/passwd"},
        {"job": "../x"},
        {"job": ""},
        {"job": "a/b"},
        {"job": "."},
        {"nonce": NONCE.upper()},
        {"nonce": NONCE[1:]},
        {"fire_time": "2026-01-02T03:04:05"},
        {"command": ""},
        {"command": None},
        {"argv": ["a"]},
        {"command": None, "argv": []},
        {"command": None, "argv": [""]},
        {"command": None, "argv": ["a", 1]},
        {"command": None, "argv": ["x" * 1024] * 1100},
        {"command": "x" * (1024 * 1024 + 1)},
        {"environment": {"A=B": "c"}},
        {"environment": {"": "c"}},
        {"environment": {"A": 1}},
        {"environment": {"A": "\0"}},
        {"environment": {f"A{number}": "" for number in range(1025)}},
        {"timeout_s": 0},
        {"timeout_s": True},
        {"timeout_s": float("inf")},
        {"timeout_s": 1e9},
        {"max_output": -1},
        {"max_output": True},
        {"max_output": 2**40},
        {"user": ""},
        {"kind": "order"},
        {"kind": "Grant"},
        {"kind": None},
    ],
    ids=lambda given: str(given)[:60],
)
def test_grants_that_are_none(given: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        from_wire({**to_wire(GRANT), **given})


@pytest.mark.parametrize("reply", ["celery", "", "cyme.result", "x" * 300, "cyme.results.\n"])
def test_answers_go_only_where_answers_go(reply: str) -> None:
    with pytest.raises(Invalid):
        from_wire({**to_wire(ALL[0]), "reply": reply})


@pytest.mark.parametrize("said", [None, 1, "order", [], {}, {"kind": []}, {"kind": "no"}], ids=str)
def test_what_is_no_message(said: object) -> None:
    with pytest.raises(Invalid):
        from_wire(said)
