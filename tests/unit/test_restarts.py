"""Who ends too often, and when it is tried again."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from cyme_supd.domain import restarts
from cyme_supd.domain.restarts import BY_HAND_S, FREE_ENDS, LONGEST_PAUSE_S, PAUSE_S, Record, pause
from cyme_supd.domain.status import (
    Ailment,
    Answer,
    Care,
    Condition,
    Observation,
    Process,
    ProcessState,
)
from cyme_supd.testing.remote import declared
from tests.unit.values import AT, NOW, a_worker, seen

S = ProcessState
SETTLED_S = 60.0
#: A chance at which a pause is as long as it is said to be.
EVEN = 0.5
ILL = Ailment("Hung", "it hangs", 30.0)


class Life:
    """One worker's, told state by state; time passes on both clocks."""

    def __init__(self, record: Record | None = None) -> None:
        self.record = record or Record(generation=1)
        self.passed_s = 0.0
        self.pid = 99
        self.state = S.STOPPED
        self.answers = False
        self.is_asked_to_end = True

    @property
    def at(self) -> datetime:
        return AT + timedelta(seconds=self.passed_s)

    def seen(self) -> Observation:
        pid = self.pid if self.state.has_process else None
        worker = a_worker()
        now = NOW + self.passed_s
        answer = Answer(now, self.pid, None, declared(worker)) if self.answers else None
        process = Process("w1", self.state, pid, started_at=float(self.pid))
        return replace(
            seen(worker, S.RUNNING),
            process=process,
            now=now,
            answer=answer,
            is_asked_to_end=self.is_asked_to_end,
        )

    def look(self, generation: int = 1, chance: float = EVEN) -> Care:
        self.record = restarts.follow(
            self.record, generation, self.seen(), SETTLED_S, self.at, chance
        )
        return restarts.care(self.record, self.seen(), None, None)

    def becomes(self, state: ProcessState, after_s: float = 0.0) -> Care:
        self.passed_s += after_s
        if state is S.STARTING:
            self.pid += 1
        self.state = state
        return self.look()

    def ends_soon(self, times: int, after_s: float = 3.0) -> Care:
        care = Care()
        for _ in range(times):
            self.becomes(S.STARTING)
            care = self.becomes(S.BACKOFF, after_s)
        return care


def test_one_that_is_stopped_by_somebody_else_is_told_of_for_a_while() -> None:
    life = Life()
    life.is_asked_to_end = False
    assert not life.becomes(S.STOPPED).was_stopped_by_hand
    life.becomes(S.STARTING)
    assert life.becomes(S.STOPPING).was_stopped_by_hand
    assert life.becomes(S.STARTING, BY_HAND_S - 1).was_stopped_by_hand
    assert not life.becomes(S.RUNNING, 1).was_stopped_by_hand
    assert life.becomes(S.STOPPED).was_stopped_by_hand
    assert not life.look(generation=2).was_stopped_by_hand


def looping() -> Life:
    life = Life()
    life.ends_soon(FREE_ENDS + 1)
    return life


def test_some_ends_are_left_to_supervisord() -> None:
    life = Life()

    assert life.ends_soon(FREE_ENDS) == Care()


@pytest.mark.parametrize("after_s", [0.0, 0.5, 3.0, 11.0, 59.0])
def test_one_more_and_it_is_held(after_s: float) -> None:
    life = Life()

    care = life.ends_soon(FREE_ENDS + 1, after_s)

    assert care.is_held
    assert care.looping_since == life.at
    assert care.retry_at == life.at.replace(microsecond=0) + timedelta(seconds=PAUSE_S)


def test_respawns_that_no_gap_was_seen_between_count() -> None:
    life = Life()
    for _ in range(FREE_ENDS + 2):
        care = life.becomes(S.STARTING, 11.0)

    assert care.is_held


def test_ends_of_processes_that_were_never_seen_count() -> None:
    life = Life()
    for _ in range(FREE_ENDS + 1):
        life.pid += 1
        care = life.becomes(S.BACKOFF, 1.0)

    assert care.is_held


def test_looking_twice_at_one_end_counts_once() -> None:
    life = Life()
    life.ends_soon(1)
    for _ in range(20):
        care = life.look()

    assert care == Care()


def test_ends_that_come_late_do_not_count() -> None:
    life = Life()

    assert life.ends_soon(50, SETTLED_S) == Care()


def test_ends_that_were_asked_for_do_not_count() -> None:
    life = Life()
    for _ in range(50):
        life.becomes(S.STARTING, 1.0)
        life.becomes(S.STOPPING)
        care = life.becomes(S.STOPPED, 1.0)

    assert care == Care()


def test_one_that_was_given_up_is_held_at_once() -> None:
    assert Life().becomes(S.FATAL).is_held


def test_another_spec_is_tried_at_once_and_once() -> None:
    life = Life()
    life.becomes(S.FATAL)

    assert not life.look(generation=2).is_held
    life.pid, life.state = life.pid + 1, S.FATAL
    assert life.look(generation=2).is_held


def test_it_is_tried_once_in_longer_and_longer_pauses() -> None:
    life = looping()
    tries: list[float] = []
    while life.passed_s < 20 * 60:
        life.becomes(S.STOPPED, 1.0)
        if not life.look().is_held:
            tries.append(life.passed_s)
            life.becomes(S.STARTING)
            assert life.becomes(S.BACKOFF, 3.0).is_held

    gaps = [late - soon for soon, late in pairwise(tries)]
    assert gaps == sorted(gaps)
    assert gaps[-1] >= LONGEST_PAUSE_S
    assert len([at for at in tries if at <= 600]) <= 7


def test_supervisord_s_own_retry_after_a_try_is_held() -> None:
    life = looping()
    life.becomes(S.STOPPED)
    assert not life.becomes(S.STOPPED, PAUSE_S).is_held
    life.becomes(S.STARTING)

    assert life.becomes(S.STARTING, 3.0).is_held


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 7.5), (1.0, 12.5)])
def test_pauses_differ(chance: float, seconds: float) -> None:
    life = Life()
    life.ends_soon(FREE_ENDS)
    life.becomes(S.STARTING)
    life.state = S.BACKOFF
    life.look(chance=chance)

    assert life.record.retry_at == NOW + life.passed_s + seconds


def test_one_that_stays_up_and_answers_begins_from_nothing() -> None:
    life = looping()
    life.becomes(S.STOPPED, PAUSE_S)
    life.becomes(S.STARTING)
    life.answers = True
    assert life.becomes(S.RUNNING, SETTLED_S - 1).looping_since is not None

    assert life.becomes(S.RUNNING, 1.0) == Care()
    assert life.ends_soon(FREE_ENDS) == Care()


def test_another_spec_is_tried_at_once() -> None:
    life = looping()

    assert life.look(generation=2) == Care()


@pytest.mark.parametrize(
    ("lasted_s", "seconds"), [(-3600, PAUSE_S), (0, PAUSE_S), (50, 50), (86400, LONGEST_PAUSE_S)]
)
def test_a_pause_is_as_long_as_it_has_lasted(lasted_s: float, seconds: float) -> None:
    assert pause(AT, AT + timedelta(seconds=lasted_s)) == seconds


def stored(type: str, reason: str, ago_s: float) -> tuple[Condition, ...]:
    return (Condition(type, True, reason, "", AT - timedelta(seconds=ago_s)),)


def test_another_branch_process_goes_on_with_the_pause() -> None:
    life = Life()
    life.becomes(S.BACKOFF)
    known = stored("CrashLooping", "RestartsTooOften", 100)
    life.record = restarts.restored(1, known, life.seen(), 30)

    care = life.look()

    assert care.is_held
    assert care.looping_since == known[0].since
    assert life.record.retry_at == NOW + 100


def test_another_branch_process_lets_a_try_go_on() -> None:
    life = Life()
    life.becomes(S.STARTING)
    known = stored("CrashLooping", "RestartsTooOften", 100)
    life.record = restarts.restored(1, known, life.seen(), 30)

    assert not life.look().is_held
    assert life.becomes(S.BACKOFF, 1.0).is_held


def test_another_branch_process_goes_on_with_an_end() -> None:
    life = Life()
    life.becomes(S.STOPPING)
    life.record = restarts.restored(1, stored("Ready", "Hung", 5), life.seen(), 30)

    assert not life.look().is_overdue
    assert life.becomes(S.STOPPING, 30.0).is_overdue


def treated(life: Life, ailment: Ailment | None = ILL) -> Care:
    life.look()
    life.record = restarts.treat(life.record, life.seen(), ailment, SETTLED_S)
    return restarts.care(life.record, life.seen(), ailment, None)


def test_one_that_is_ill_is_ended_and_killed_when_that_takes_too_long() -> None:
    life = Life()
    life.becomes(S.RUNNING)
    assert treated(life).is_due
    life.state = S.STOPPING
    assert not treated(life, None).is_overdue

    life.passed_s += 30
    assert treated(life, None).is_overdue


def test_a_stop_for_another_reason_is_never_overdue() -> None:
    life = Life()
    life.becomes(S.STOPPING)
    life.passed_s += 3600

    assert not treated(life, None).is_overdue


def test_one_that_gets_well_before_it_was_told_to_end_is_left_alone() -> None:
    life = Life()
    life.becomes(S.RUNNING)
    treated(life)

    assert treated(life, None) == Care()


def test_one_that_stays_ill_is_ended_less_and_less_often() -> None:
    life = Life()
    ends: list[float] = []
    for _ in range(3600):
        life.becomes(S.STARTING, 1.0)
        if treated(life).is_due:
            ends.append(life.passed_s)
            life.becomes(S.STOPPING)
            life.becomes(S.STOPPED)

    gaps = [late - soon for soon, late in pairwise(ends)]
    assert gaps == [60, 120, 240, 480, 960]
