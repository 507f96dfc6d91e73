"""What a worker counts as ill for; and what it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cyme_supd.domain.healing import DEAF, HUNG, MUTE, NARROW, START_S, Signs, diagnose
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import Ailment, Answer, Observation, ProcessState, Pulse
from cyme_supd.testing.remote import declared
from tests.unit.values import NOW, RECONNECT_S, a_worker, converged, seen

S = ProcessState
LONG_AGO = 60.0
SILENT = Signs(unanswered=3)


def answered(worker: Worker, seconds_ago: float, **work: Any) -> Observation:
    known = {"started": 5, "active": 0, "waiting": 0, **work}
    answer = Answer(NOW - seconds_ago, 100, worker.autoscale, declared(worker), **known)
    return converged(worker, answer=answer)


def reason(worker: Worker, observation: Observation, signs: Signs) -> str | None:
    found = diagnose(worker, observation, signs, RECONNECT_S)
    return found.reason if found else None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, HUNG),
        ({"unanswered": 2}, None),
        ({"are_all_silent": True}, None),
        ({"are_all_silent": True, "is_stopped": True}, HUNG),
        ({"unanswered": 2, "is_stopped": True}, HUNG),
        ({"unanswered": 1, "is_stopped": True}, None),
    ],
)
def test_silence(changes: dict[str, Any], expected: str | None) -> None:
    worker = a_worker()
    observation = answered(worker, LONG_AGO)

    assert reason(worker, observation, replace(SILENT, **changes)) == expected


@pytest.mark.parametrize(
    ("pool", "seconds", "expected"),
    [
        ("prefork", 29, None),
        ("prefork", 31, HUNG),
        ("gevent", 599, None),
        ("gevent", 601, HUNG),
        ("threads", 599, None),
        ("solo", 100_000, None),
    ],
)
def test_how_long_one_may_be_too_busy_to_answer(
    pool: str, seconds: float, expected: str | None
) -> None:
    worker = a_worker(pool=pool)

    assert reason(worker, answered(worker, seconds), SILENT) == expected


def test_a_solo_worker_that_was_stopped_is_hung() -> None:
    worker = a_worker(pool="solo")

    signs = replace(SILENT, is_stopped=True)
    assert reason(worker, answered(worker, LONG_AGO), signs) == HUNG


@pytest.mark.parametrize("pulse", [Pulse(False, 0.0), Pulse(None, 0.0), Pulse(True, NOW - 34)])
@pytest.mark.parametrize("signs", [SILENT, replace(SILENT, is_stopped=True)])
def test_nothing_is_concluded_without_a_broker(pulse: Pulse, signs: Signs) -> None:
    worker = a_worker()
    observation = replace(answered(worker, LONG_AGO), pulse=pulse)

    assert reason(worker, observation, signs) is None
    assert reason(worker, replace(observation, answer=None), signs) is None


@pytest.mark.parametrize(
    "state", [S.STOPPED, S.EXITED, S.FATAL, S.BACKOFF, S.STOPPING, S.UNKNOWN, None]
)
def test_only_what_runs_is_looked_at(state: ProcessState | None) -> None:
    worker = a_worker()

    assert reason(worker, seen(worker, state), SILENT) is None


@pytest.mark.parametrize(
    ("up_s", "starting", "are_all_silent", "expected"),
    [
        (START_S - 1, 0, False, None),
        (START_S + 1, 0, False, MUTE),
        (START_S + 1, 1, False, None),
        (START_S + 11, 1, False, MUTE),
        (START_S + 1, 0, True, None),
    ],
)
def test_the_first_answer(
    up_s: float, starting: int, are_all_silent: bool, expected: str | None
) -> None:
    worker = a_worker()
    signs = Signs(starting=starting, up_since=NOW - up_s, are_all_silent=are_all_silent)

    assert reason(worker, seen(worker, S.RUNNING), signs) == expected


def test_the_time_to_start_counts_from_the_return_of_the_broker() -> None:
    worker = a_worker()
    observation = seen(worker, S.RUNNING, pulse=Pulse(True, NOW - START_S + 1))

    assert reason(worker, observation, Signs(up_since=NOW - 10 * START_S)) is None


@pytest.mark.parametrize(
    ("work", "stuck", "expected"),
    [
        ({}, "tasks", DEAF),
        ({}, None, None),
        ({"active": 1}, "tasks", None),
        ({"waiting": 1}, "tasks", None),
        ({"is_narrow": True, "prefetch": 1}, None, NARROW),
        ({"is_narrow": True, "prefetch": 1, "active": 1}, None, None),
        ({"is_narrow": True, "prefetch": 1, "waiting": 1}, None, None),
    ],
)
def test_one_that_answers(work: dict[str, Any], stuck: str | None, expected: str | None) -> None:
    worker = a_worker()

    assert reason(worker, answered(worker, 0, **work), Signs(stuck=stuck)) == expected


@pytest.mark.parametrize(("active", "kill_after_s"), [(0, 0.0), (None, 0.0), (2, 30.0)])
def test_one_that_was_stopped_is_killed_at_once_unless_it_had_work(
    active: int | None, kill_after_s: float
) -> None:
    worker = a_worker()
    signs = replace(SILENT, is_stopped=True)

    found = diagnose(worker, answered(worker, LONG_AGO, active=active), signs, RECONNECT_S)

    assert isinstance(found, Ailment)
    assert found.kill_after_s == kill_after_s


def test_one_with_a_small_prefetch_is_never_killed_for_it() -> None:
    worker = a_worker()

    found = diagnose(worker, answered(worker, 0, is_narrow=True), Signs(), RECONNECT_S)

    assert isinstance(found, Ailment)
    assert found.kill_after_s is None
