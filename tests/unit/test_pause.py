"""Pauses: what holds which queue, and until when."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from cyme_supd.domain.pause import (
    MAX_AHEAD,
    Pause,
    held,
    in_force,
    requested,
    shown,
    standing,
    until_next_end_s,
    words,
)
from cyme_supd.domain.plan import Cancel, Consume, plan
from cyme_supd.domain.spec import Queue, Worker
from cyme_supd.errors import Invalid
from tests.unit.values import AT, a_worker, an_app, converged, the_launch

LATER = AT + timedelta(seconds=60)


def a_queue(name: str, pause: Pause | None = None) -> Queue:
    return Queue("foo", name, name, "direct", name, {}, AT, pause)


def worker(
    of_app: Pause | None = None, of_queue: Pause | None = None, own: Pause | None = None
) -> Worker:
    found = a_worker(an_app(pause=of_app), queues=("q1", "q2"), pause=own)
    return replace(found, queues=(a_queue("q1", of_queue), a_queue("q2")))


LASTING, SHORT = Pause("deploy", AT), Pause("short", AT, LATER)


@pytest.mark.parametrize(
    ("until", "end"),
    [
        (None, None),
        (60.0, LATER),
        ("2011-08-15T22:07:43Z", LATER),
        ("2011-08-15T22:07:43", LATER),
        ("2011-08-16T00:07:43+02:00", LATER),
    ],
)
def test_an_end(until: str | float | None, end: datetime | None) -> None:
    assert requested(" de\n ploy ", until, AT) == Pause("de ploy", AT, end)


@pytest.mark.parametrize(
    "until",
    ["soon", "2011-08-15T22:06:43Z", 0.0, -5.0, 1e300, float("nan"), "9999-12-31T23:59:59-23:59"],
)
def test_an_end_that_cannot_be(until: str | float) -> None:
    with pytest.raises(Invalid, match="until"):
        requested(None, until, AT)
    assert requested(None, MAX_AHEAD.total_seconds(), AT).until == AT + MAX_AHEAD


def test_a_reason_that_is_too_long() -> None:
    with pytest.raises(Invalid, match="reason"):
        requested("x" * 501, None, AT)


@pytest.mark.parametrize("pause", [LASTING, SHORT])
def test_as_it_is_stored(pause: Pause) -> None:
    assert Pause.from_dict(pause.as_dict()) == pause


@pytest.mark.parametrize(
    ("paused", "consumes", "reason"),
    [
        (worker(), {"dq.w1", "q1", "q2"}, ""),
        (worker(of_app=LASTING), set(), "AppPaused"),
        (worker(own=SHORT), set(), "InstancePaused"),
        (worker(of_queue=SHORT), {"dq.w1", "q2"}, "QueuePaused"),
    ],
)
def test_what_is_left_to_consume(paused: Worker, consumes: set[str], reason: str) -> None:
    now = in_force(paused, AT)
    assert now.consumes == consumes
    if reason:
        assert words(now)[0] == reason


def test_it_ends_by_itself() -> None:
    now = in_force(worker(of_queue=SHORT), AT + timedelta(seconds=20))
    assert until_next_end_s(now, AT + timedelta(seconds=20)) == 40.0
    over = in_force(worker(of_queue=SHORT), LATER)
    assert over.consumes == {"dq.w1", "q1", "q2"}
    assert until_next_end_s(over, LATER) is None
    assert shown(an_app(pause=SHORT), LATER).pause is None
    assert shown(an_app(pause=SHORT), AT).pause == SHORT


def test_the_one_that_lasts_longest_holds() -> None:
    both = worker(of_app=SHORT, of_queue=LASTING)
    assert in_force(both, LATER).consumes == {"dq.w1", "q2"}
    assert held(both) == {"q1": None, "q2": LATER.timestamp(), "dq.w1": LATER.timestamp()}
    assert standing(both.app, both.instance, both.queues[0], AT) == ("queue q1", LASTING)
    assert standing(both.app, both.instance, both.queues[1], LATER) is None


def test_it_makes_nobody_be_replaced() -> None:
    plain, paused = the_launch(worker()), the_launch(worker(of_app=LASTING))
    assert "held" not in plain.boot
    assert paused.boot["held"] == {"q1": None, "q2": None, "dq.w1": None}
    assert paused.identity == plain.identity
    assert paused.digest != plain.digest


def names(actions: Any) -> Any:
    return [
        (type(each), each.queues if isinstance(each, Cancel) else [e["name"] for e in each.entries])
        for each in actions
    ]


def test_the_plan_lets_go_and_takes_again() -> None:
    paused = in_force(worker(own=LASTING), AT)
    seen = converged(worker(), written=the_launch(paused).digest)
    assert names(plan(paused, the_launch(paused), seen)) == [(Cancel, ("dq.w1", "q1", "q2"))]
    assert seen.answer is not None
    bare = replace(seen.answer, queues={})
    assert plan(paused, the_launch(paused), replace(seen, answer=bare)) == ()
    resumed = replace(converged(worker()), answer=bare)
    assert names(plan(worker(), the_launch(worker()), resumed)) == [
        (Consume, ["dq.w1", "q1", "q2"])
    ]
