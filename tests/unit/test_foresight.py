"""What would come until a worker is as it should be, planned by the plan itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cyme_supd.domain import foresight
from cyme_supd.domain.declaration import entry
from cyme_supd.domain.foresight import Order, Step, foresee, given, order_of
from cyme_supd.domain.health import Patience, status_of
from cyme_supd.domain.pause import Pause, in_force
from cyme_supd.domain.plan import plan
from cyme_supd.domain.recall import Files, recalled
from cyme_supd.domain.rollout import Member, Rollout, RolloutState, RolloutStatus
from cyme_supd.domain.spec import POOLS, Queue, Worker
from cyme_supd.domain.status import (
    Ailment,
    Care,
    Observation,
    Process,
    ProcessState,
    Pulse,
    Running,
)
from cyme_supd.testing.remote import declared
from tests.unit.values import (
    AT,
    INTERVAL_S,
    NOW,
    RECONNECT_S,
    a_worker,
    an_app,
    converged,
    seen,
    the_launch,
)

S = ProcessState
TASKS = Queue("foo", "tasks", "tasks", "direct", "tasks", {}, AT)
MAIL = Queue("foo", "mail", "mail", "direct", "mail", {}, AT)
ONE = Rollout(1, 1, AT)


def steps(worker: Worker, observation: Observation, is_due: bool = False) -> tuple[Step, ...]:
    return foresee(worker, the_launch(worker), observation, is_due)


def words(worker: Worker, observation: Observation, is_due: bool = False) -> list[str]:
    return [step.action for step in steps(worker, observation, is_due)]


def consuming(*queues: Queue, **changes: Any) -> Worker:
    names = tuple(queue.name for queue in queues)
    return replace(a_worker(queues=names, **changes), queues=queues)


@pytest.mark.parametrize("pool", POOLS)
def test_nothing_comes_of_what_is_as_it_should_be(pool: str) -> None:
    worker = a_worker(pool=pool)
    assert steps(worker, converged(worker)) == ()


def test_a_new_one() -> None:
    worker = a_worker()
    assert steps(worker, seen(worker, None, written=None)) == (
        Step("w1", "write", "no launch file"),
        Step("w1", "apply", "not known to supervisord"),
        Step("w1", "start", "new"),
    )


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("after", [
    {"is_enabled": False},
    {"is_deleting": True},
    {"is_deleting": True, "is_forced": True},
    {"arguments": ("-O", "fair")},
    {"stop_timeout_s": 7},
    {"max_concurrency": 9},
    {"restarts": 1},
    {},
])  # fmt: skip
def test_it_comes_to_an_end(state: ProcessState, after: dict[str, Any]) -> None:
    before = a_worker()
    worker = a_worker(**after)
    found = steps(worker, converged(before, process=Process("w1", state, 100)))
    # Every action once at the most, but for a stop before what follows it.
    assert len({step.action for step in found}) == len(found)
    assert len(found) < foresight.MOST_PASSES


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"arguments": ("-O", "fair")}, ["write", "restart"]),
        ({"restarts": 1}, ["write", "restart"]),
        ({"max_concurrency": 4}, ["write", "autoscale"]),
        ({"stop_timeout_s": 7}, ["apply"]),
        ({"is_enabled": False}, ["stop"]),
        ({"is_deleting": True}, ["stop", "remove", "forget"]),
        ({"is_deleting": True, "is_forced": True}, ["kill", "remove", "forget"]),
        ({"pool": "threads"}, ["write", "restart"]),
    ],
)
def test_one_that_was_edited(changes: dict[str, Any], expected: list[str]) -> None:
    assert words(a_worker(**changes), converged(a_worker())) == expected


def test_what_is_said_of_a_restart_and_of_limits() -> None:
    before = converged(a_worker())
    why = "what it was launched with has changed"
    assert steps(a_worker(restarts=1), before)[-1] == Step("w1", "restart", why)
    scaled = steps(a_worker(max_concurrency=4), before)[-1]
    assert (scaled.action, scaled.limits) == ("autoscale", (4, 1))


def test_queues_that_come_and_go() -> None:
    before, after = consuming(TASKS), consuming(MAIL)
    found = steps(after, converged(before, answer=converged(before).answer))
    assert [(step.action, step.queues) for step in found] == [
        ("write", ()),
        ("consume", ("mail",)),
        ("cancel", ("tasks",)),
    ]


def test_a_queue_that_is_declared_otherwise() -> None:
    before, after = consuming(TASKS), consuming(replace(TASKS, routing_key="other"))
    found = steps(after, converged(before))
    assert [step.action for step in found] == ["write", "restart"]
    assert found[-1].reason == "the declaration of a queue has changed"


def test_a_pause_and_its_end() -> None:
    free = consuming(TASKS)
    paused = replace(free, app=an_app(pause=Pause("deploy", AT)))
    held = in_force(paused, AT)
    found = steps(held, converged(free))
    assert found[-1] == Step("w1", "cancel", "paused", ("dq.w1", "tasks"))
    answer = converged(free).answer
    assert answer is not None
    silent = converged(paused, answer=replace(answer, queues={}))
    assert steps(free, silent)[-1] == Step("w1", "consume", "drift", ("dq.w1", "tasks"))


def test_one_that_ends_now_is_started_after_it() -> None:
    worker = a_worker()
    assert words(worker, converged(worker, process=Process("w1", S.STOPPING, 100))) == ["start"]


def test_a_broker_that_is_down_only_delays_it() -> None:
    down = converged(a_worker(), pulse=Pulse(False, NOW), commanded_at=NOW)
    assert words(a_worker(max_concurrency=4), down) == ["write", "autoscale"]


def test_what_a_process_is_ended_for() -> None:
    worker = a_worker()
    care = Care(ailment=Ailment("Hung", "it hangs"), is_due=True)
    assert steps(worker, converged(worker, care=care)) == (Step("w1", "restart", "it hangs"),)
    overdue = replace(care, is_overdue=True)
    assert words(worker, converged(worker, care=overdue)) == ["kill", "start"]


def test_one_that_ends_too_often_stays_stopped() -> None:
    worker, care = a_worker(), Care(is_held=True)
    assert words(worker, converged(worker, care=care)) == ["stop"]
    assert words(worker, seen(worker, S.STOPPED, care=care)) == []


# Rolling restarts


def test_its_turn_in_a_rolling_restart() -> None:
    before, after = a_worker(), a_worker(an_app(rollout=ONE))
    assert words(after, converged(before)) == ["write"]
    found = steps(after, converged(before), is_due=True)
    assert found[-1] == Step("w1", "restart", "its turn in the rolling restart")


def behind(*are_available: bool) -> list[Member]:
    return [Member(f"w{at}", True, available) for at, available in enumerate(are_available, 1)]


@pytest.mark.parametrize(
    ("members", "most", "expected", "absent"),
    [
        (behind(True, True, True), 1, (("w1",), ("w2",), ("w3",)), ()),
        (behind(True, True, True), 2, (("w1", "w2"), ("w3",)), ()),
        # One that is of no use as it is comes first.
        (behind(True, False, True), 1, (("w2",), ("w1",), ("w3",)), ()),
        # One that was restarted and does not come back keeps the others waiting.
        ([*behind(True, True), Member("w3", False, False)], 1, (), ("w3",)),
        ([Member("w1", False, True)], 1, (), ()),
        ([Member("w1", False, False)], 1, (), ()),
    ],
)
def test_the_turns(
    members: list[Member],
    most: int,
    expected: tuple[tuple[str, ...], ...],
    absent: tuple[str, ...],
) -> None:
    wish = replace(ONE, max_unavailable=most)
    assert order_of("foo", "b1", wish, members, None) == Order(expected, absent)


@pytest.mark.parametrize("state", [RolloutState.STOPPED, RolloutState.DONE])
def test_none_comes_of_one_that_stopped_until_it_is_resumed(state: RolloutState) -> None:
    stopped_at = "w1" if state is RolloutState.STOPPED else None
    stored = RolloutStatus("foo", "b1", 1, 1, state, stopped_at=stopped_at)
    members = behind(True, True)
    assert order_of("foo", "b1", ONE, members, stored) == Order()
    again = replace(ONE, attempt=2)
    assert order_of("foo", "b1", again, members, stored).turns == (("w1",), ("w2",))
    aborted = replace(again, is_aborted=True)
    assert order_of("foo", "b1", aborted, members, stored) == Order()


# By what is stored


def restored(worker: Worker, observation: Observation) -> Observation:
    """What a reader of the store and of the launch files takes *observation* for."""
    wanted, patience = the_launch(worker), Patience(INTERVAL_S, RECONNECT_S)
    status = status_of(worker, wanted, observation, None, patience, AT)
    queues = {each["name"]: each["digest"] for each in wanted.boot["queues"]}
    files = Files(observation.written, queues, observation.running)
    return recalled(worker, worker, status, files)


OBSERVED = {
    "as it should be": {},
    "limits": {"autoscale": (7, 2)},
    "too few queues": {"queues": {"dq.w1": ""}},
    "too many queues": {"queues": {**declared(consuming(TASKS)), "more": ""}},
}


@pytest.mark.parametrize("told", OBSERVED.values(), ids=OBSERVED.keys())
def test_the_store_is_enough_for_the_same_plan(told: dict[str, Any]) -> None:
    worker = consuming(TASKS)
    observation = converged(worker)
    assert observation.answer is not None
    observation = replace(observation, answer=replace(observation.answer, **told))
    wanted = the_launch(worker)
    expected = plan(worker, wanted, observation)
    assert bool(expected) == bool(told)
    assert plan(worker, wanted, restored(worker, observation)) == expected


@pytest.mark.parametrize("state", S)
def test_and_so_it_is_in_every_state(state: ProcessState) -> None:
    worker = a_worker()
    for observation in (
        seen(worker, state),
        seen(worker, state, running=Running(100, "other")),
        seen(worker, state, written="other"),
        seen(worker, None),
    ):
        wanted = the_launch(worker)
        expected = plan(worker, wanted, observation)
        assert plan(worker, wanted, restored(worker, observation)) == expected


def test_pauses_and_ailments_are_remembered() -> None:
    paused = in_force(replace(consuming(TASKS), app=an_app(pause=Pause("deploy", AT))), AT)
    answer = converged(paused).answer
    assert answer is not None
    has_let_go = converged(paused, answer=replace(answer, queues={}))
    assert plan(paused, the_launch(paused), restored(paused, has_let_go)) == ()
    free = consuming(TASKS)
    back = plan(free, the_launch(free), restored(paused, has_let_go))[-1]
    assert {each["name"] for each in getattr(back, "entries", ())} == {"dq.w1", "tasks"}
    ailing = Care(ailment=Ailment("Hung", "it hangs"), is_due=True)
    assert words(free, restored(free, converged(free, care=ailing))) == ["restart"]


def test_one_that_was_held_is_tried_again_at_once_when_it_is_edited() -> None:
    worker = a_worker()
    looping = Care(looping_since=AT, is_held=True)
    held = seen(worker, S.STOPPED, care=looping)
    assert words(worker, restored(worker, held)) == []
    wanted, patience = the_launch(worker), Patience(INTERVAL_S, RECONNECT_S)
    status = status_of(worker, wanted, held, None, patience, AT)
    edited = a_worker(generation=2)
    recall = recalled(edited, worker, status, Files(held.written))
    assert words(edited, recall) == ["start"]


def test_of_a_silent_one_what_it_last_told() -> None:
    worker = consuming(TASKS)
    silent = converged(worker, now=NOW + 1000)
    assert restored(worker, silent).answer is None
    told = status_of(worker, the_launch(worker), converged(worker), None, Patience(5.0, 35.0), AT)
    quiet = replace(told, ready=None, consuming=None, autoscale=None)
    files = Files(the_launch(worker).digest, {"tasks": str(entry(TASKS)["digest"])})
    other = replace(worker, queues=(replace(TASKS, routing_key="other"),))
    found = foresee(other, the_launch(other), recalled(other, worker, quiet, files))
    assert [step.action for step in found] == ["write", "restart"]
    more = a_worker(max_concurrency=3, queues=("tasks",))
    scaled = replace(more, queues=(TASKS,))
    found = foresee(scaled, the_launch(scaled), recalled(scaled, worker, quiet, files))
    assert [step.action for step in found] == ["write", "autoscale"]


def test_it_is_given_all_but_what_is_paused() -> None:
    worker = consuming(TASKS, MAIL)
    assert given(worker) == declared(worker)
    held = in_force(replace(worker, queues=(replace(TASKS, pause=Pause("", AT)), MAIL)), AT)
    assert given(held).keys() == {"dq.w1", "mail"}
