"""Who is idle beside a queue that does not empty."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cyme_supd.domain.progress import Trail, followed, risen, stuck, watched
from cyme_supd.domain.spec import Queue
from cyme_supd.domain.status import Answer, Backlog
from tests.unit.values import AT, NOW, a_worker

IDLE = Answer(NOW, 100, None, {"dq.w1": "", "tasks": "x"}, started=5, active=0, waiting=0)


@pytest.mark.parametrize(
    ("changes", "is_idle"),
    [
        ({}, True),
        ({"started": 6}, False),
        ({"active": 1}, False),
        ({"waiting": 1}, False),
        ({"queues": {"dq.w1": ""}}, False),
        ({"started": None}, False),
    ],
)
def test_since_when_it_is_idle(changes: dict[str, Any], is_idle: bool) -> None:
    trail = followed(None, IDLE, 10.0)
    assert trail.idle_since == 10.0

    assert followed(trail, replace(IDLE, **changes), 20.0).idle_since == (10.0 if is_idle else 20.0)


def test_a_queue_that_sinks_or_empties_begins_anew() -> None:
    known = None
    for at, messages in enumerate((0, 3, 3, 5)):
        known = risen(known, messages, float(at))
    assert known == Backlog(5, 3.0, 1.0, 3)

    assert risen(known, 4, 4.0) == Backlog(4, 4.0, 4.0, 1)
    assert risen(known, 0, 4.0) == Backlog(0, 4.0)


@pytest.mark.parametrize(
    ("backlog", "idle_since", "is_stuck"),
    [
        (Backlog(5, 100.0, 70.0, 6), 0.0, True),
        (Backlog(5, 100.0, 70.0, 3), 0.0, False),
        (Backlog(5, 100.0, 81.0, 4), 0.0, False),
        (Backlog(5, 100.0, 70.0, 6), 81.0, False),
        (Backlog(5, 100.0, 70.0, 6), 80.0, True),
        (Backlog(0, 100.0), 0.0, False),
    ],
)
def test_both_have_to_last(backlog: Backlog, idle_since: float, is_stuck: bool) -> None:
    found = stuck(Trail(idle_since, 5), {"tasks": backlog}, 5.0)

    assert found == ("tasks" if is_stuck else None)


def test_only_the_queues_of_the_idle_are_looked_at() -> None:
    worker = a_worker()
    trail = Trail(NOW - 6, 5, frozenset({"dq.w1", "extra"}))

    assert watched(worker, trail, NOW, 5.0) == {"dq.w1"}
    assert watched(worker, replace(trail, idle_since=NOW), NOW, 5.0) == frozenset()
    assert watched(worker, replace(trail, started=None), NOW, 5.0) == frozenset()


def test_one_that_waits_for_its_turn_at_a_queue_is_not_deaf() -> None:
    options = {"queue_arguments": {"x-single-active-consumer": True}}
    queue = Queue("foo", "tasks", "tasks", "direct", "tasks", options, AT)
    worker = replace(a_worker(), queues=(queue,))

    assert watched(worker, Trail(0.0, 5, frozenset({"tasks"})), NOW, 5.0) == frozenset()
