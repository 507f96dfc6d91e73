"""What becomes of a run: one claim has it at a time and one end counts, whatever comes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyme_supd.domain.job import Job, Run, RunStatus, run_id
from cyme_supd.domain.orders import (
    Alive,
    Claim,
    Ended,
    Grant,
    Output,
    Reason,
    Refusal,
    RunEnd,
    Started,
    Withdrawal,
)
from cyme_supd.domain.running import (
    UNDER_WAY,
    Outcome,
    cancel,
    has_ended,
    hear,
    lose,
    release,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
JOB = Job("example", "a", "@daily", NOW, command="true", environment={"A": "b"}, timeout_s=7)
RUN = Run(
    run_id(JOB.id, NOW),
    JOB.id,
    "example",
    "a",
    NOW,
    RunStatus.QUEUED,
    NOW,
    order_at=NOW + timedelta(seconds=60),
    orders=1,
)
ONE, TWO = "1" * 32, "2" * 32


def claim(nonce: str = ONE, **given: Any) -> Claim:
    reply = "cyme.runner.1"
    return replace(Claim(RUN.id, JOB.id, nonce, reply, "h", "w1", 7), **given)


def ended(status: RunEnd = RunEnd.SUCCEEDED, nonce: str = ONE, **given: Any) -> Ended:
    code = 0 if status == RunEnd.SUCCEEDED else 3
    made = Ended(
        RUN.id, nonce, status, code, None, None, NOW, NOW, 4, False, b"out\n", "h", "w1", 7
    )
    return replace(made, **given)


def started(nonce: str = ONE) -> Started:
    return Started(RUN.id, nonce, 7, NOW)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def told(
    said: Any, run: Run | None = RUN, job: Job | None = JOB, is_withdrawn: bool = False,
    now: datetime = NOW,
) -> Outcome:  # fmt: skip
    return hear(run, job, said, is_withdrawn, now)


def run_of(outcome: Outcome) -> Run:
    assert outcome.run is not None
    return outcome.run


def types(outcome: Outcome) -> list[str]:
    return [event.type for event in outcome.events]


CLAIMED = run_of(told(claim()))
BEGUN = run_of(told(started(), CLAIMED))
LOST = run_of(lose(CLAIMED, JOB, at(61)))


def test_a_claim_is_granted_with_what_the_job_is_now() -> None:
    outcome = told(claim(), job=replace(JOB, user="x"))
    run = run_of(outcome)
    assert outcome.answer == Grant(
        RUN.id, ONE, JOB.id, "a", "example", NOW, "true", None, {"A": "b"}, "x", 7.0
    )
    assert (run.status, run.nonce, run.reply) == (RunStatus.RUNNING, ONE, "cyme.runner.1")
    assert (run.host, run.instance, run.heard_at, run.order_at) == ("h", "w1", NOW, None)


def test_the_same_claim_again_is_granted_again_and_another_refused() -> None:
    again = told(claim(), CLAIMED, now=at(5))
    assert isinstance(again.answer, Grant)
    assert run_of(again) == replace(CLAIMED, heard_at=at(5))
    other = told(claim(TWO), CLAIMED)
    assert other.answer == Refusal(RUN.id, TWO, Reason.CLAIMED)
    assert run_of(other) == CLAIMED


@pytest.mark.parametrize(
    ("said", "given", "reason", "status"),
    [
        (claim(), {"run": None}, Reason.UNKNOWN, None),
        (claim(job="other"), {}, Reason.UNKNOWN, RunStatus.QUEUED),
        (claim(), {"is_withdrawn": True}, Reason.CLAIMED, RunStatus.QUEUED),
        (claim(), {"job": None}, Reason.CANCELLED, RunStatus.CANCELLED),
        (claim(), {"run": replace(RUN, wants_cancel=True)}, Reason.CANCELLED, "cancelled"),
        (claim(), {"run": run_of(cancel(RUN, NOW))}, Reason.CANCELLED, "cancelled"),
        (claim(), {"run": LOST}, Reason.CLAIMED, RunStatus.LOST),
        (claim(), {"job": replace(JOB, deadline_s=30), "now": at(31)}, Reason.LATE, "skipped"),
        (claim(), {"run": CLAIMED, "job": None}, Reason.CLAIMED, RunStatus.RUNNING),
    ],
)
def test_refused(said: Claim, given: dict[str, Any], reason: Reason, status: str | None) -> None:
    outcome = told(said, **given)
    assert outcome.answer == Refusal(RUN.id, ONE, reason)
    assert (outcome.run and outcome.run.status) == status


def test_a_deadline_is_for_the_first_attempt() -> None:
    job, again = replace(JOB, deadline_s=30), replace(RUN, attempt=2)
    assert isinstance(told(claim(), job=job, now=at(30)).answer, Grant)
    assert isinstance(told(claim(), again, job, now=at(300)).answer, Grant)


def test_as_it_goes_on() -> None:
    begun = told(started(), CLAIMED, now=at(1))
    assert types(begun) == ["starting"]
    assert run_of(begun).started_at == NOW
    assert types(told(started(), run_of(begun))) == []
    assert run_of(told(Alive(RUN.id, ONE, NOW), BEGUN, now=at(10))).heard_at == at(10)
    printed = told(Output(RUN.id, ONE, 9, b"end"), BEGUN, now=at(3))
    assert printed.output is not None
    assert (printed.output.size, printed.output.tail, printed.output.at) == (9, b"end", at(3))
    outcome = told(ended(), BEGUN)
    end = run_of(outcome)
    assert types(outcome) == ["finished"]
    assert (end.status, end.exit_code, end.finished_at) == (RunStatus.SUCCEEDED, 0, NOW)
    assert has_ended(BEGUN, end)
    assert told(ended(RunEnd.FAILED), end) == Outcome(end)


def test_its_end_alone_says_all() -> None:
    outcome = told(ended(RunEnd.FAILED), CLAIMED)
    assert types(outcome) == ["starting", "failed"]
    assert outcome.events[1].message == "exit code 3"
    assert outcome.output is not None
    assert outcome.output.tail == b"out\n"


@pytest.mark.parametrize("said", [started(TWO), Alive(RUN.id, TWO, NOW), ended(nonce=TWO)])
@pytest.mark.parametrize("run", [RUN, CLAIMED, LOST])
def test_what_another_claim_says_is_nothing(said: Any, run: Run) -> None:
    assert told(said, run) == Outcome(run)
    assert told(said, None) == Outcome(None)


def test_given_back() -> None:
    outcome = told(Withdrawal(RUN.id, ONE), CLAIMED, now=at(9))
    again = run_of(outcome)
    assert types(outcome) == ["queued"]
    assert (again.status, again.nonce, again.order_at) == (RunStatus.QUEUED, None, at(9))
    assert (again.attempt, again.host, again.heard_at) == (1, None, None)
    # It came before its claim, or that got lost: the order is gone all the same.
    assert run_of(told(Withdrawal(RUN.id, TWO), now=at(9))).order_at == at(9)
    assert told(Withdrawal(RUN.id, TWO), is_withdrawn=True, now=at(9)).run == RUN
    held = replace(RUN, order_at=None, orders=0)
    assert told(Withdrawal(RUN.id, TWO), held).run == held
    # What has begun is not given back, whoever says so.
    assert told(Withdrawal(RUN.id, ONE), BEGUN).run == BEGUN
    unwanted = replace(CLAIMED, wants_cancel=True)
    assert run_of(told(Withdrawal(RUN.id, ONE), unwanted)).status == RunStatus.CANCELLED


def test_lost_and_found() -> None:
    assert (LOST.status, LOST.finished_at, LOST.nonce) == (RunStatus.LOST, at(61), ONE)
    assert run_of(told(Withdrawal(RUN.id, ONE), LOST)).status == RunStatus.QUEUED
    queueing = replace(JOB, overlap="queue")
    assert run_of(told(Withdrawal(RUN.id, ONE), LOST, queueing)).order_at is None
    outcome = told(ended(), LOST)
    assert types(outcome) == ["starting", "finished"]
    assert run_of(outcome).status == RunStatus.SUCCEEDED
    found = told(Alive(RUN.id, ONE, NOW), LOST, now=at(90))
    assert types(found) == ["found"]
    assert run_of(found).status == RunStatus.RUNNING
    assert (run_of(found).finished_at, run_of(found).heard_at) == (None, at(90))


@pytest.mark.parametrize("status", [RunEnd.FAILED, RunEnd.TIMED_OUT])
def test_tried_again_while_retries_are_left(status: RunEnd) -> None:
    job = replace(JOB, retries=1)
    outcome = told(ended(status), BEGUN, job)
    again = run_of(outcome)
    assert types(outcome) == [str(status), "retrying"]
    assert (again.status, again.attempt, again.nonce) == (RunStatus.QUEUED, 2, None)
    assert (again.order_at, again.orders, again.started_at) == (at(10), 0, None)
    assert not has_ended(BEGUN, again)
    claimed = run_of(told(claim(TWO), again, job, now=at(300)))
    last = run_of(told(ended(status, TWO), claimed, job))
    assert (last.status, last.attempt) == (RunStatus(status), 2)


def test_what_is_not_tried_again() -> None:
    job = replace(JOB, retries=1)
    for end in (RunEnd.SUCCEEDED, RunEnd.CANCELLED):
        assert run_of(told(ended(end), BEGUN, job)).status == RunStatus(end)
    unwanted = replace(BEGUN, wants_cancel=True)
    assert run_of(told(ended(RunEnd.FAILED), unwanted, job)).status == RunStatus.FAILED
    assert run_of(told(ended(RunEnd.FAILED), BEGUN, None)).status == RunStatus.FAILED


def test_a_lost_one_that_is_tried_again_has_no_way_back() -> None:
    job = replace(JOB, retries=1)
    again = run_of(lose(BEGUN, job, at(61)))
    assert (again.status, again.attempt) == (RunStatus.QUEUED, 2)
    assert told(ended(), again, job) == Outcome(again)
    # It has not been ordered yet: that is left to its time.
    assert told(Withdrawal(RUN.id, ONE), again, job).run == again


def test_the_next_one_that_waits() -> None:
    runs = [replace(RUN, id=str(n), fire_at=at(n), order_at=None, orders=0) for n in (3, 1, 2)]
    waiting = replace(JOB, overlap="queue")
    assert [run.id for run in release(waiting, runs, False, NOW)] == ["1"]
    assert release(waiting, runs, True, NOW) == []
    for job in (None, JOB):
        released = release(job, runs, True, NOW)
        assert [run.id for run in released] == ["1", "2", "3"]
        assert {run.order_at for run in released} == {NOW}
    assert release(waiting, [], False, NOW) == []


MESSAGES = st.one_of(
    *(
        st.sampled_from(
            [
                claim(nonce),
                started(nonce),
                Alive(RUN.id, nonce, NOW),
                Output(RUN.id, nonce, 1, b"x"),
                ended(RunEnd.SUCCEEDED, nonce),
                ended(RunEnd.FAILED, nonce),
                Withdrawal(RUN.id, nonce),
            ]
        )
        for nonce in (ONE, TWO, "3" * 32)
    ),
    st.just("silence"),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(MESSAGES, max_size=30), st.integers(0, 2))
def test_in_any_order_and_however_often(messages: list[Any], retries: int) -> None:
    """One claim has it at a time, each of an attempt ends it once, and nothing given up is granted.

    A runner says nothing of a claim that it gave up but that: what it says then
    besides is left out here, as are claims by who was granted it and has ended.
    """
    job, run = replace(JOB, retries=retries), RUN
    withdrawn: set[str] = set()
    silenced: set[str] = set()
    granted: dict[int, set[str]] = {}
    ends: list[tuple[int, str]] = []
    for said in messages:
        if said == "silence":
            run = run_of(lose(run, job, NOW)) if run.status == RunStatus.RUNNING else run
            continue
        is_over = said.nonce in silenced and not isinstance(said, Claim)
        if is_over and not isinstance(said, Withdrawal):
            continue
        before = run
        outcome = hear(run, job, said, said.nonce in withdrawn, NOW)
        run = run_of(outcome)
        if isinstance(said, Withdrawal):
            withdrawn.add(said.nonce)
            silenced.add(said.nonce)
        if isinstance(outcome.answer, Grant):
            assert said.nonce not in withdrawn
            assert run.nonce == said.nonce
            assert before.nonce in (None, said.nonce)
            granted.setdefault(run.attempt, set()).add(said.nonce)
        ends += [(before.attempt, said.nonce)] * any(
            event.type in ("finished", "failed") for event in outcome.events
        )
        assert run.attempt <= retries + 1
        assert (run.order_at is not None) == (run.status == RunStatus.QUEUED)
        assert (run.nonce is None) == (run.status == RunStatus.QUEUED)
    # Of one attempt, only what was given up makes room for another claim.
    for nonces in granted.values():
        assert len(nonces - withdrawn) <= 1
    assert len({attempt for attempt, _ in ends}) == len(ends)
    assert run.status in UNDER_WAY or ends or run.status == RunStatus.LOST
