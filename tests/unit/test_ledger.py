"""What is known of a task does not depend on the order in which it was learnt."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyme_supd.domain.ledger import (
    FINAL,
    MOST_TEXT,
    RANKS,
    Record,
    bounded,
    from_event,
    from_result,
    merge,
    merged,
    observed,
)

VALUES = st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.text(max_size=9))
OBSERVATIONS = st.builds(
    lambda at, state, attempt, facts: observed("t1", at, state, attempt, **facts),
    st.integers(0, 5).map(float),
    st.sampled_from([*RANKS, ""]),
    st.integers(0, 3),
    st.dictionaries(st.sampled_from(["name", "worker", "result", "args"]), VALUES),
)


@given(st.lists(OBSERVATIONS, min_size=1, max_size=8), st.data())
def test_any_order_and_any_repetition_tell_the_same(seen: list[Record], data: Any) -> None:
    again = data.draw(st.lists(st.sampled_from(seen), max_size=8))
    shuffled = data.draw(st.permutations([*seen, *again]))
    assert merged(shuffled) == merged(seen)
    assert merged(shuffled).state == merged(seen).state


@given(st.lists(OBSERVATIONS, min_size=2, max_size=8), st.data())
def test_any_grouping_tells_the_same(seen: list[Record], data: Any) -> None:
    cut = data.draw(st.integers(1, len(seen) - 1))
    # A batch that was put together before it came to the store.
    assert merge(merged(seen[:cut]), merged(seen[cut:])) == merged(seen)


@given(st.lists(OBSERVATIONS, min_size=1, max_size=8))
def test_what_has_ended_is_over(seen: list[Record]) -> None:
    record = merged(seen)
    assert record.is_over == bool(FINAL & record.states.keys())


def event(kind: str, at: float, **more: Any) -> Record:
    found = from_event({"type": f"task-{kind}", "uuid": "t1", "timestamp": at, **more})
    assert found is not None
    return found


def test_a_task_that_was_retried_and_succeeded() -> None:
    record = merged(
        [
            event("succeeded", 9.0, hostname="w1@h", runtime=0.5, result="'ok'"),
            event("received", 2.0, hostname="w1@h", name="mail.send", retries=0),
            event("started", 3.0, hostname="w1@h"),
            event("retried", 4.0, hostname="w1@h", exception="OSError()"),
            event("received", 6.0, hostname="w2@h", name="mail.send", retries=1),
            event("started", 7.0, hostname="w2@h"),
            observed("t1", 1.0, "SENT", 0, name="mail.send", queue="mail"),
        ]
    )
    assert (record.state, record.is_over) == ("SUCCESS", True)
    assert (record.get("result"), record.get("runtime")) == ("'ok'", 0.5)
    assert record.get("queue") == "mail"
    assert (record.states["STARTED"].first, record.states["STARTED"].last) == (3.0, 7.0)


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ({}, "PENDING"),
        ({"SENT": 1}, "SENT"),
        ({"SENT": 5, "STARTED": 4}, "STARTED"),
        ({"RETRY": 4, "STARTED": 5}, "STARTED"),
        ({"RETRY": 5, "STARTED": 5}, "RETRY"),
        ({"SUCCESS": 3, "STARTED": 5}, "SUCCESS"),
        ({"FAILURE": 3, "SUCCESS": 5}, "SUCCESS"),
        ({"FAILURE": 5, "SUCCESS": 3}, "FAILURE"),
        ({"FAILURE": 5, "SUCCESS": 5}, "SUCCESS"),
    ],
)
def test_how_far_a_task_has_come(told: dict[str, float], state: str) -> None:
    seen = [observed("t1", at, name) for name, at in told.items()]
    assert merged([Record("t1"), *seen]).state == state


def test_two_tasks_are_not_one() -> None:
    with pytest.raises(ValueError, match="two tasks"):
        merge(Record("t1"), Record("t2"))


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"type": "worker-online", "uuid": "t1", "timestamp": 1.0},
        {"type": "task-started", "timestamp": 1.0},
        {"type": "task-started", "uuid": "t1"},
        {"type": "task-started", "uuid": ["t1"], "timestamp": 1.0},
        {"type": "task-started", "uuid": "t\n", "timestamp": 1.0},
        {"type": "task-started", "uuid": "t" * 256, "timestamp": 1.0},
        {"type": "task-started", "uuid": "t1", "timestamp": float("nan")},
        {"type": "task-started", "uuid": "t1", "timestamp": -1},
        {"type": "task-started", "uuid": "t1", "timestamp": True},
        {"type": ["task-started"], "uuid": "t1", "timestamp": 1.0},
    ],
)
def test_an_event_that_makes_no_sense(event: dict[str, Any]) -> None:
    assert from_event(event) is None


def test_a_result() -> None:
    record = from_result("t1", 5.0, "FAILURE", error="ValueError: x", traceback="...")
    assert record is not None
    assert (record.state, record.get("error")) == ("FAILURE", "ValueError: x")
    assert from_result("t1", 5.0, "MY_STATE") is None


@given(st.text())
def test_text_is_kept_as_databases_take_it(text: str) -> None:
    kept = bounded(text, 20)
    assert len(kept) <= 20
    assert "\0" not in kept
    kept.encode()


def test_what_cannot_be_written_out_is_not() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    record = observed("t1", 1.0, "", 0, a=nested, b=10**5000, c="x" * 10_000_000, d="\ud800")
    assert (record.get("a"), record.get("b"), record.get("d")) == ("<list>", "<int>", "?")
    assert len(record.get("c")) == MOST_TEXT
