"""Samples of many branches and processes become one line over time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cyme_supd.domain.samples import (
    COARSE_S,
    GAP_S,
    STEP_S,
    Begun,
    Point,
    Sample,
    Series,
    begun,
    combined,
    moment,
    series,
    together,
)
from cyme_supd.domain.status import Answer, Condition, ProcessState, Status
from cyme_supd.domain.transitions import Transition, transitions
from tests.unit.values import AT

T0 = 1_800_000_000


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(T0 + seconds, UTC)


def line(*points: tuple[float, Point]) -> Series:
    return series([(at(seconds), point) for seconds, point in points])


def answer(pid: int, started: int | None) -> Answer:
    return Answer(at=0.0, pid=pid, autoscale=None, queues={}, started=started)


def test_all_branches_measure_at_the_same_moments() -> None:
    assert moment(at(0)) == moment(at(29.9)) == at(0)
    assert moment(at(30)) == at(30)
    assert Sample(at(COARSE_S), "", Point()).is_coarse
    assert not Sample(at(COARSE_S + STEP_S), "", Point()).is_coarse


def test_tasks_are_counted_over_the_restarts_of_a_worker() -> None:
    known = begun(None, answer(1, 100))
    assert known == Begun(1, 100, 0.0)
    known = begun(known, answer(1, 130))
    assert known == Begun(1, 130, 30.0)
    known = begun(known, answer(2, 5))
    assert known == Begun(2, 5, 35.0)
    assert begun(known, answer(2, 4)) == Begun(2, 4, 39.0)
    assert begun(known, answer(2, None)) == known
    assert begun(None, answer(2, None)) is None


def test_the_rate_is_of_the_time_since_the_sample_before() -> None:
    found = line((0, Point(begun=10)), (30, Point(begun=40)), (60, Point()), (90, Point(begun=1)))
    assert found["per_s"] == [None, 1.0, None, None]
    assert found["at"] == [T0, T0 + 30, T0 + 60, T0 + 90]


def test_a_process_that_counts_anew_has_no_rate_at_first() -> None:
    assert line((0, Point(begun=10)), (30, Point(begun=0)))["per_s"] == [None, None]


def test_nothing_is_drawn_over_a_time_of_which_nobody_knows() -> None:
    found = line((0, Point(depth=1, begun=0)), (GAP_S + 1, Point(depth=2, begun=9)))
    assert found["at"] == [T0, T0 + STEP_S, T0 + GAP_S + 1]
    assert found["depth"] == [1, None, 2]
    assert found["per_s"] == [None, None, None]
    assert line((0, Point(depth=1)), (GAP_S, Point(depth=2)))["depth"] == [1, 2]


def test_what_many_see_of_a_queue_is_the_most_and_what_they_do_is_all() -> None:
    one = line((0, Point(3, 5, 0, 1, 2, 4)), (30, Point(3, None, 30, 1, 2, 4)))
    other = line((0, Point(2, 9, 0, 1, 1, 1)), (30, Point(4, 1, 60, None, 1, 1)))
    found = combined([one, other])
    assert found["at"] == [T0, T0 + 30]
    assert found["depth"] == [3, 4]
    assert found["oldest_s"] == [9, 1]
    assert found["per_s"] == [None, 3.0]
    assert (found["running"], found["processes"], found["most"]) == ([2, 1], [3, 3], [5, 5])


@pytest.mark.parametrize(
    ("lag_s", "end"),
    [(0, 300), (2 * STEP_S, 300 - 2 * STEP_S), (2 * STEP_S + 1, 300), (200, 300)],
)
def test_who_is_about_to_tell_is_waited_for_and_who_is_gone_is_not(lag_s: int, end: int) -> None:
    one = line(*((each, Point(running=1)) for each in range(0, 301, STEP_S)))
    ends = sorted({*range(0, 301 - lag_s, STEP_S), 300 - lag_s})
    other = line(*((each, Point(running=1)) for each in ends))
    assert combined([one, other])["at"][-1] == T0 + end


def test_of_nobody_there_is_nothing() -> None:
    nothing = combined([])
    assert nothing["at"] == []
    assert combined([nothing, nothing]) == nothing
    assert combined([nothing, line((0, Point(depth=1)))])["depth"] == [1]


def test_of_many_things_the_sum_and_the_oldest() -> None:
    points = [Point(1, 5, 10, 1, 2, 4), Point(2, 7), Point(begun=5)]
    assert together(points) == Point(3, 7, 15, 1, 2, 4)
    assert together([]) == Point()


UP = Status("w1", 1, ProcessState.RUNNING, 7, True, True)
NOW = AT + timedelta(seconds=9)


def test_a_change_of_state_is_told_once() -> None:
    made = Transition("w1", NOW, ProcessState.RUNNING, True, True)
    assert list(transitions({}, [UP], NOW)) == [made]
    more = replace(UP, generation=2, pid=8, autoscale=(3, 1), queues=("a",))
    assert list(transitions({"w1": UP}, [more], NOW)) == []


def test_with_the_reason_why_it_is_not_as_it_should_be() -> None:
    conditions = (
        Condition("Consuming", False, "QueuesMissing", "", AT),
        Condition("Ready", True, "Answering", "", AT),
    )
    ill = replace(UP, consuming=False, conditions=conditions)
    (made,) = transitions({"w1": UP}, [ill], NOW)
    assert (made.consuming, made.reason) == (False, "QueuesMissing")
    looping = Condition("CrashLooping", True, "EndsTooOften", "", AT)
    (made,) = transitions({"w1": ill}, [replace(ill, conditions=(*conditions, looping))], NOW)
    assert made.reason == "EndsTooOften"
