"""What is said of a worker from what was seen of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cyme_supd.domain.health import Patience, may_be_reconnecting, readiness, status_of
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import (
    Answer,
    Condition,
    Observation,
    Process,
    ProcessState,
    Pulse,
    Running,
    Status,
)
from cyme_supd.testing.remote import declared
from tests.unit.values import (
    AT,
    INTERVAL_S,
    NOW,
    RECONNECT_S,
    a_worker,
    converged,
    seen,
    the_launch,
)

S = ProcessState
PATIENCE = Patience(INTERVAL_S, RECONNECT_S)
NO_PULSE = Pulse(False, 0.0, "refused")


def verdict(worker: Worker, observation: Observation) -> tuple[bool | None, str]:
    ready = readiness(worker, the_launch(worker), observation, PATIENCE)
    return ready.status, ready.reason


def status(worker: Worker, observation: Observation, before: Status | None = None) -> Status:
    return status_of(worker, the_launch(worker), observation, before, PATIENCE, AT)


def answered(worker: Worker, seconds_ago: float, pid: int = 100) -> Answer:
    return Answer(NOW - seconds_ago, pid, worker.autoscale, declared(worker))


def test_one_that_answers_is_ready() -> None:
    assert verdict(a_worker(), converged(a_worker())) == (True, "Answering")


def test_one_that_is_up_and_has_not_answered_is_not_ready() -> None:
    assert verdict(a_worker(), seen(a_worker(), S.RUNNING)) == (False, "Starting")


def test_what_an_earlier_branch_heard_of_the_process_is_not_forgotten() -> None:
    """Neither does it count for ever: nobody knows, until it answers."""
    worker = a_worker()
    heard = status(worker, converged(worker))
    silent = seen(worker, S.STARTING)
    for _ in range(2):
        heard = status(worker, silent, heard)
        assert (heard.ready, heard.conditions[0].reason) == (None, "Asked")
    other = replace(silent, process=Process("w1", S.STARTING, 101))
    assert status(worker, other, heard).ready is False
    never = status(worker, silent, status(worker, silent))
    assert (never.ready, never.conditions[0].reason) == (False, "Starting")


def test_the_answer_of_an_earlier_process_does_not_count() -> None:
    worker = a_worker()

    assert verdict(worker, converged(worker, answer=answered(worker, 0, 99)))[0] is False


def test_silence_is_not_known_and_not_dead() -> None:
    worker = a_worker()
    late = converged(worker, answer=answered(worker, 4 * INTERVAL_S))

    assert verdict(worker, late) == (None, "Silent")


@pytest.mark.parametrize(
    ("pulse", "is_spared"),
    [
        (Pulse(True, NOW), True),
        (Pulse(True, NOW - RECONNECT_S + 0.1), True),
        (Pulse(True, NOW - RECONNECT_S), False),
        (Pulse(False, NOW), False),
        (Pulse(None, NOW), False),
    ],
)
def test_a_broker_that_is_just_back_excuses_silence(pulse: Pulse, is_spared: bool) -> None:
    worker = a_worker()
    late = converged(worker, answer=answered(worker, 99), pulse=pulse)

    assert may_be_reconnecting(late, PATIENCE) is is_spared
    assert (verdict(worker, late) == (None, "Reconnecting")) is is_spared


def test_one_that_answers_is_ready_however_short_its_broker_is_back() -> None:
    back = converged(a_worker(), pulse=Pulse(True, NOW))

    assert verdict(a_worker(), back) == (True, "Answering")


def test_it_says_how_long_it_may_take() -> None:
    worker = a_worker()
    late = converged(worker, answer=answered(worker, 99), pulse=Pulse(True, NOW))

    message = readiness(worker, the_launch(worker), late, PATIENCE).message
    assert message == "its broker is back; it may need 35 s to reconnect"


def test_without_its_broker_nobody_knows() -> None:
    worker = a_worker()
    late = converged(worker, answer=answered(worker, 4 * INTERVAL_S), pulse=NO_PULSE)

    assert verdict(worker, late) == (None, "BrokerDown")
    assert verdict(worker, seen(worker, S.RUNNING, pulse=NO_PULSE)) == (None, "BrokerDown")


def test_one_that_is_being_replaced_is_not_ready_though_it_answers() -> None:
    worker = a_worker()
    outdated = converged(worker, running=Running(100, "other"))

    assert verdict(worker, outdated) == (False, "Restarting")


@pytest.mark.parametrize(
    ("state", "reason"),
    [(S.STOPPING, "Stopping"), (S.BACKOFF, "Backoff"), (S.STOPPED, "Stopped"), (None, "Stopped")],
)
def test_one_that_is_not_up_is_not_ready(state: ProcessState | None, reason: str) -> None:
    assert verdict(a_worker(), seen(a_worker(), state)) == (False, reason)


def test_one_that_should_not_run_says_so() -> None:
    worker = a_worker(is_enabled=False)

    assert verdict(worker, seen(worker, S.STOPPED)) == (False, "Disabled")


def test_a_status_is_of_the_generation_it_was_observed_for() -> None:
    worker = a_worker(generation=7)

    assert status(worker, converged(worker)).generation == 7


def test_limits_and_queues_are_what_the_worker_says() -> None:
    worker = a_worker(max_concurrency=8)
    answer = Answer(NOW, 100, (3, 2), {"other": ""})

    told = status(worker, converged(worker, answer=answer))

    assert (told.autoscale, told.consuming) == ((3, 2), False)
    assert status(worker, converged(worker)).consuming is True


def test_of_one_that_is_silent_nothing_is_known() -> None:
    worker = a_worker()

    told = status(worker, converged(worker, answer=answered(worker, 99), pulse=NO_PULSE))

    assert (told.ready, told.consuming, told.autoscale) == (None, None, None)
    assert (told.state, told.pid) == (S.RUNNING, 100)


@pytest.mark.parametrize("state", [S.BACKOFF, S.FATAL])
def test_one_that_keeps_ending_says_so(state: ProcessState) -> None:
    kinds = [condition.type for condition in status(a_worker(), seen(a_worker(), state)).conditions]

    assert kinds == ["Ready", "CrashLooping"]


def test_a_condition_keeps_its_time_while_it_says_the_same() -> None:
    worker = a_worker()
    earlier = AT - timedelta(hours=1)
    before = Status("w1", 1, conditions=(Condition("Ready", True, "Answering", "", earlier),))

    same = status(worker, converged(worker), before)
    other = status(worker, seen(worker, S.STOPPING), before)

    assert same.conditions[0].since == earlier
    assert other.conditions[0].since == AT


def test_a_second_look_at_the_same_says_the_same() -> None:
    worker = a_worker()
    first = status(worker, converged(worker))

    assert status(worker, converged(worker), first) == first
