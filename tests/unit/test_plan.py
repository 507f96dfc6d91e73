"""The planner: values in, the next steps out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cyme_supd.domain.declaration import entry
from cyme_supd.domain.plan import (
    Action,
    Apply,
    Autoscale,
    Cancel,
    Consume,
    Forget,
    Kill,
    Remove,
    Start,
    Stop,
    WriteLaunch,
    plan,
)
from cyme_supd.domain.spec import POOLS, Queue, Worker
from cyme_supd.domain.status import Answer, Care, Observation, ProcessState, Pulse, Running
from cyme_supd.testing.remote import declared
from tests.unit.values import AT, NOW, a_worker, an_app, converged, seen, the_launch

S = ProcessState
DOWN = [S.STOPPED, S.EXITED, S.FATAL]
UP = [S.STARTING, S.RUNNING]


def kinds(worker: Worker, observation: Observation) -> list[type[Action]]:
    return [type(action) for action in plan(worker, the_launch(worker), observation)]


@pytest.mark.parametrize("pool", POOLS)
def test_a_converged_worker_needs_nothing(pool: str) -> None:
    worker = a_worker(pool=pool)

    assert plan(worker, the_launch(worker), converged(worker)) == ()


def test_a_new_one_is_written_applied_and_started_in_this_order() -> None:
    worker = a_worker()

    assert kinds(worker, seen(worker, None, written=None)) == [WriteLaunch, Apply, Start]


@pytest.mark.parametrize("state", DOWN)
def test_one_that_is_down_is_started(state: ProcessState) -> None:
    worker = a_worker()

    assert kinds(worker, seen(worker, state)) == [Start]


@pytest.mark.parametrize("state", DOWN)
def test_one_that_is_disabled_and_down_is_left_alone(state: ProcessState) -> None:
    worker = a_worker(is_enabled=False)

    assert kinds(worker, seen(worker, state)) == []


def test_a_new_one_that_is_disabled_is_made_known_and_not_started() -> None:
    worker = a_worker(is_enabled=False)

    assert kinds(worker, seen(worker, None, written=None)) == [WriteLaunch, Apply]


@pytest.mark.parametrize("state", [*UP, S.BACKOFF])
def test_one_that_is_disabled_is_stopped(state: ProcessState) -> None:
    worker = a_worker(is_enabled=False)

    assert kinds(worker, seen(worker, state)) == [Stop]


@pytest.mark.parametrize("state", [S.STOPPING, S.BACKOFF, S.UNKNOWN])
def test_what_supervisord_is_busy_with_is_waited_for(state: ProcessState) -> None:
    worker = a_worker()

    assert kinds(worker, seen(worker, state)) == []


def test_silence_kills_nobody() -> None:
    worker = a_worker()
    long_ago = Answer(at=NOW - 9999, pid=100, autoscale=(1, 1), queues=declared(worker))

    assert kinds(worker, converged(worker, answer=long_ago)) == []
    assert kinds(worker, converged(worker, answer=None)) == []


@pytest.mark.parametrize("state", UP)
def test_one_launched_with_something_else_is_replaced(state: ProcessState) -> None:
    worker = a_worker()

    assert kinds(worker, seen(worker, state, running=Running(100, "other"))) == [Stop]


def test_one_whose_launcher_has_not_said_yet_is_not_replaced() -> None:
    worker = a_worker()

    assert kinds(worker, seen(worker, S.STARTING, running=None)) == []
    assert kinds(worker, seen(worker, S.STARTING, running=Running(99, "other"))) == []


def test_other_limits_are_told_and_written_without_a_restart() -> None:
    before = a_worker(max_concurrency=1)
    after = a_worker(max_concurrency=4, min_concurrency=2)

    actions = plan(after, the_launch(after), converged(before))

    assert [type(action) for action in actions] == [WriteLaunch, Autoscale]
    assert actions[1] == Autoscale("w1", "limits differ", 4, 2)


def test_limits_are_told_once_until_a_newer_answer_comes() -> None:
    worker = a_worker(max_concurrency=4)
    stale = Answer(at=NOW - 1, pid=100, autoscale=(1, 1), queues=declared(worker))
    told = converged(worker, answer=stale, commanded_at=NOW - 1)

    assert kinds(worker, told) == []
    assert kinds(worker, replace(told, answer=replace(stale, at=NOW))) == [Autoscale]


def test_nothing_is_told_while_the_broker_has_no_pulse() -> None:
    worker = replace(a_worker(max_concurrency=4, queues=("tasks",)), queues=(TASKS,))
    stale = Answer(at=NOW, pid=100, autoscale=(1, 1), queues={"dq.w1": "", "other": ""})
    known = converged(worker, answer=stale, written=the_launch(worker).digest)

    assert kinds(worker, known) == [Autoscale, Consume, Cancel]
    assert kinds(worker, replace(known, pulse=Pulse(False, NOW, "refused"))) == []


def test_what_runs_is_still_started_and_stopped_without_a_pulse() -> None:
    down = Pulse(False, NOW, "refused")

    assert kinds(a_worker(), seen(a_worker(), S.EXITED, pulse=down)) == [Start]
    disabled = a_worker(is_enabled=False)
    assert kinds(disabled, converged(disabled, pulse=down)) == [Stop]


def test_limits_are_not_told_to_a_process_that_is_gone() -> None:
    worker = a_worker(max_concurrency=4)
    predecessor = Answer(at=NOW, pid=99, autoscale=(1, 1), queues=declared(worker))

    assert kinds(worker, converged(worker, answer=predecessor)) == []


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_a_pool_without_an_autoscaler_is_told_no_limits(pool: str) -> None:
    worker = a_worker(pool=pool)
    answer = Answer(at=NOW, pid=100, autoscale=None, queues=declared(worker))

    assert kinds(worker, converged(worker, answer=answer)) == []


def test_another_stop_timeout_is_applied_to_the_running_program() -> None:
    worker = a_worker(stop_timeout_s=5)

    assert kinds(worker, converged(worker, stop_timeout_s=600)) == [Apply]
    assert kinds(worker, converged(worker, stop_timeout_s=None)) == []


class TestDeletion:
    def test_stops_then_removes_then_forgets(self) -> None:
        worker = a_worker(is_deleting=True)

        assert kinds(worker, seen(worker, S.RUNNING)) == [Stop]
        assert kinds(worker, seen(worker, S.STOPPING)) == []
        assert kinds(worker, seen(worker, S.STOPPED)) == [Remove, Forget]

    def test_goes_on_where_it_was_interrupted(self) -> None:
        worker = a_worker(is_deleting=True)

        assert kinds(worker, seen(worker, None)) == [Remove, Forget]

    def test_of_one_that_does_not_start_stops_the_attempts_first(self) -> None:
        worker = a_worker(is_deleting=True)

        assert kinds(worker, seen(worker, S.BACKOFF)) == [Stop]

    @pytest.mark.parametrize("state", [*UP, S.STOPPING])
    def test_by_force_kills(self, state: ProcessState) -> None:
        worker = a_worker(is_deleting=True, is_forced=True)

        assert kinds(worker, seen(worker, state)) == [Kill]

    def test_writes_nothing(self) -> None:
        worker = a_worker(is_deleting=True)

        assert kinds(worker, seen(worker, S.STOPPED, written=None)) == [Remove, Forget]


def test_the_apps_pool_and_stop_timeout_hold_where_the_instance_says_nothing() -> None:
    app = an_app(pool="threads", stop_timeout_s=7)

    assert (a_worker(app).pool, a_worker(app).stop_timeout_s) == ("threads", 7)
    assert a_worker(app, pool="solo", stop_timeout_s=0).pool == "solo"
    assert a_worker(app, pool="solo", stop_timeout_s=0).stop_timeout_s == 0


TASKS = Queue("foo", "tasks", "tasks", "direct", "tasks", {}, AT)


class TestQueues:
    def worker(self, *queues: Queue) -> Worker:
        return replace(a_worker(queues=tuple(q.name for q in queues)), queues=queues)

    def answering(self, worker: Worker, **changes: Any) -> Observation:
        before = converged(a_worker())
        assert before.answer is not None
        seen = converged(worker, answer=replace(before.answer, **changes))
        return replace(seen, written=the_launch(worker).digest)

    def test_one_that_is_missing_is_consumed_with_its_full_declaration(self) -> None:
        worker = self.worker(TASKS)

        actions = plan(worker, the_launch(worker), self.answering(worker))

        assert actions == (Consume("w1", "drift", (entry(TASKS),)),)

    def test_one_that_should_not_be_is_cancelled(self) -> None:
        worker = a_worker()
        seen = self.answering(worker, queues={"dq.w1": "", "tasks": "x", "other": ""})

        assert plan(worker, the_launch(worker), seen) == (
            Cancel("w1", "drift", ("other", "tasks")),
        )

    def test_what_was_told_is_not_told_again_before_a_newer_answer(self) -> None:
        worker = self.worker(TASKS)
        told = replace(self.answering(worker, at=NOW - 1), commanded_at=NOW - 1)

        assert kinds(worker, told) == []
        assert kinds(worker, replace(told, commanded_at=NOW - 2)) == [Consume]

    def test_another_declaration_needs_a_new_process(self) -> None:
        worker = self.worker(TASKS)
        seen = self.answering(worker, queues={"dq.w1": "", "tasks": "old"})

        assert kinds(worker, seen) == [Stop]

    def test_one_it_has_from_elsewhere_is_left_to_it(self) -> None:
        worker = self.worker(TASKS)

        assert kinds(worker, self.answering(worker, queues={"dq.w1": "", "tasks": ""})) == []

    def test_one_that_was_refused_is_held_back_for_a_while(self) -> None:
        worker = self.worker(TASKS)
        refused = {"tasks": (entry(TASKS)["digest"], "406")}
        seen = replace(self.answering(worker, refused=refused), commanded_at=NOW - 59)

        assert kinds(worker, seen) == []
        assert kinds(worker, replace(seen, commanded_at=NOW - 60)) == [Consume]

    def test_another_declaration_of_it_is_tried_at_once(self) -> None:
        worker = self.worker(TASKS)
        refused = {"tasks": ("old", "406")}
        seen = replace(self.answering(worker, refused=refused), commanded_at=NOW - 1)

        assert kinds(worker, seen) == [Consume]


def test_its_own_queue_taken_from_it_is_given_back() -> None:
    worker = a_worker()
    deprived = converged(worker)
    assert deprived.answer is not None
    answer = replace(deprived.answer, queues={})

    (step,) = plan(worker, the_launch(worker), replace(deprived, answer=answer))

    assert isinstance(step, Consume)
    assert [each["name"] for each in step.entries] == ["dq.w1"]


@pytest.mark.parametrize(
    ("state", "care", "expected"),
    [
        (S.RUNNING, Care(is_due=True), [Stop]),
        (S.STOPPING, Care(is_due=True), []),
        (S.STOPPING, Care(is_due=True, is_overdue=True), [Kill]),
        (S.STOPPED, Care(is_due=True, is_overdue=True), [Start]),
        (S.RUNNING, Care(is_held=True), [Stop]),
        (S.BACKOFF, Care(is_held=True), [Stop]),
        (S.STOPPED, Care(is_held=True), []),
        (S.FATAL, Care(is_held=True), []),
        (S.RUNNING, Care(yields_to="b2"), [Stop]),
        (S.BACKOFF, Care(yields_to="b2"), [Stop]),
        (S.STOPPED, Care(yields_to="b2"), []),
    ],
)
def test_what_it_needs(state: ProcessState, care: Care, expected: list[type[Action]]) -> None:
    worker = a_worker()

    assert kinds(worker, seen(worker, state, care=care)) == expected
    off = a_worker(is_enabled=False)
    assert Start not in kinds(off, seen(off, state, care=care))
