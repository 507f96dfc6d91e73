"""Plans and rehearsals over the fakes: what is said of a change, and that nothing is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cyme_supd.domain.foresight import RunningTask
from cyme_supd.domain.rollout import RolloutState, RolloutStatus
from cyme_supd.domain.status import ProcessState
from cyme_supd.domain.task import UrlRequest
from cyme_supd.errors import Conflict, CymeError, Invalid, NotFound, Timeout, Unavailable
from cyme_supd.service import Plan, Service
from cyme_supd.service.pauses import Place
from cyme_supd.store.engine import sqlite_url
from cyme_supd.store.migrations import migrate
from cyme_supd.store.repository import SqlStore
from tests.unit.queue_support import DOWN, declare, start, with_an_app
from tests.unit.service_support import BROKER, START, World

Change = Callable[[Service], object]
OTHER = "amqp://other:pw@127.0.0.1:5672//"
URL = UrlRequest("GET", "http://example.com/", (), b"")


@pytest.fixture
def house() -> World:
    """Two workers that consume from ``tasks``, and one that is disabled."""
    house = with_an_app()
    declare(house)
    declare(house, "mail")
    for name in ("w1", "w2"):
        start(house, name, queues=["tasks"])
    start(house, "w3")
    house.service.instances.disable("foo", "w3", 5)
    return house


def planned(house: World, change: Change) -> Plan:
    """What is said of *change*; and nothing was stored, sent or waited for."""
    state, at, sent = deepcopy(house.store._state), house.clock.elapsed, house.hints.sent
    rehearsal = house.service.rehearsal()
    plan = rehearsal.plan(lambda: change(rehearsal.service))
    assert house.store._state == state
    assert (house.clock.elapsed, house.hints.sent) == (at, sent)
    return plan


def actions(plan: Plan) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for step in plan.steps:
        found.setdefault(step.instance, []).append(step.action)
    return found


def edit_app(**given: Any) -> Change:
    return lambda service: service.apps.put("foo", given)


def edit(name: str = "w1", **given: Any) -> Change:
    return lambda service: service.instances.put("foo", name, given, 5.0)


CHANGES: list[tuple[Change, dict[str, list[str]]]] = [
    (lambda service: service.apps.put("bar", {}), {}),
    (edit_app(), {}),
    (edit_app(stop_timeout_s=9), {"w1": ["apply"], "w2": ["apply"], "w3": ["apply"]}),
    (
        edit_app(arguments="-O fair"),
        {"w1": ["write", "restart"], "w2": ["write", "restart"], "w3": ["write"]},
    ),
    (
        lambda service: service.apps.delete("foo", True, 5.0),
        {
            "w1": ["stop", "remove", "forget"],
            "w2": ["stop", "remove", "forget"],
            "w3": ["remove", "forget"],
        },
    ),
    (lambda service: service.apps.start("foo", 5.0), {"w3": ["start"]}),
    (lambda service: service.apps.stop("foo", 5.0), {"w1": ["stop"], "w2": ["stop"]}),
    (edit("new"), {"new": ["write", "apply", "start"]}),
    (edit(arguments="-O fair"), {"w1": ["write", "restart"]}),
    (edit(queues=["mail"]), {"w1": ["write", "consume", "cancel"]}),
    (edit("w3", arguments="-O fair"), {"w3": ["write"]}),
    (edit(), {}),
    (lambda service: service.instances.enable("foo", "w3", 5.0), {"w3": ["start"]}),
    (lambda service: service.instances.enable("foo", "w1", 5.0), {}),
    (lambda service: service.instances.disable("foo", "w1", 5.0), {"w1": ["stop"]}),
    (lambda service: service.instances.restart("foo", "w1", 5.0), {"w1": ["write", "restart"]}),
    (
        lambda service: service.instances.autoscale("foo", "w1", {"max_concurrency": 3}, 5.0),
        {"w1": ["write", "autoscale"]},
    ),
    (
        lambda service: service.instances.delete("foo", "w1", False, 5.0),
        {"w1": ["stop", "remove", "forget"]},
    ),
    (
        lambda service: service.instances.delete(None, "w1", True, 5.0),
        {"w1": ["kill", "remove", "forget"]},
    ),
    (lambda service: service.queues.put("foo", "new", {}), {}),
    (
        lambda service: service.queues.put("foo", "tasks", {"routing_key": "other"}),
        {"w1": ["write", "restart"], "w2": ["write", "restart"]},
    ),
    (
        lambda service: service.queues.delete("foo", "tasks", 5.0),
        {"w1": ["write", "cancel"], "w2": ["write", "cancel"]},
    ),
    (lambda service: service.queues.delete("foo", "mail", 5.0), {}),
    (
        lambda service: service.consumers.add("foo", "w1", "mail", 5.0),
        {"w1": ["write", "consume"]},
    ),
    (lambda service: service.consumers.add("foo", "w1", "tasks", 5.0), {}),
    (
        lambda service: service.consumers.delete("foo", "w1", "tasks", 5.0),
        {"w1": ["write", "cancel"]},
    ),
    (lambda service: service.consumers.delete("foo", "w1", "mail", 5.0), {}),
    (
        lambda service: service.pauses.pause(Place("foo"), "deploy", None, 5.0),
        {"w1": ["write", "cancel"], "w2": ["write", "cancel"], "w3": ["write"]},
    ),
    (lambda service: service.pauses.resume(Place("foo"), 5.0), {}),
    (
        lambda service: service.rollouts.start("foo", None),
        {"w3": ["write"], "w1": ["write", "restart"], "w2": ["write", "restart"]},
    ),
]


@pytest.mark.parametrize(("change", "expected"), CHANGES)
def test_what_comes_of_a_change(
    house: World, change: Change, expected: dict[str, list[str]]
) -> None:
    assert actions(planned(house, change)) == expected


@pytest.mark.parametrize(("change", "expected"), CHANGES)
def test_the_same_is_planned_once_it_is_stored(
    house: World, change: Change, expected: dict[str, list[str]]
) -> None:
    assert house.service.plans.get("foo").steps == ()
    house.branch.is_dead = True
    with suppress(Timeout):
        change(house.service)
    planned = actions(house.service.plans.get("foo"))
    # What supervisord has been told of a program nobody but the branch knows.
    known = {name: [word for word in words if word != "apply"] for name, words in expected.items()}
    new = {name: words for name, words in expected.items() if name == "new"}
    assert planned == {name: words for name, words in known.items() if words} | new


def test_who_restarts_who_stops_and_what_that_touches(house: World) -> None:
    mine = RunningTask("w1", "id-1", "house.work", START)
    house.questions.running = [mine, RunningTask("w2", "id-2", "house.work", START)]
    plan = planned(house, edit(arguments="-O fair"))
    assert (plan.restarting, plan.stopping) == (("w1",), ())
    assert plan.census.running == (mine,)
    assert house.questions.asked_for_tasks == [("w1", BROKER)]
    plan = planned(house, lambda service: service.apps.stop("foo", 5.0))
    assert (plan.restarting, plan.stopping) == ((), ("w1", "w2"))
    assert len(plan.census.running) == 2
    house.questions.asked_for_tasks.clear()
    assert planned(house, edit(queues=["mail"])).census.running == ()
    assert house.questions.asked_for_tasks == []


def test_a_process_is_asked_where_it_is(house: World) -> None:
    plan = planned(house, edit(broker=OTHER))
    assert plan.restarting == ("w1",)
    assert house.questions.asked_for_tasks == [("w1", BROKER)]


def test_one_without_a_process_is_not_asked(house: World) -> None:
    stored(house, state=ProcessState.BACKOFF, pid=None, ready=False)
    plan = planned(house, lambda service: service.instances.disable("foo", "w2", 5.0))
    assert (actions(plan), plan.stopping) == ({"w2": ["stop"]}, ("w2",))
    assert house.questions.asked == []


def stored(house: World, **changes: Any) -> None:
    """What was seen of ``w2``, in part otherwise."""
    with house.store.writing() as tx:
        status = tx.status("w2")
        assert status is not None
        tx.save_statuses([replace(status, **changes)])


def test_one_that_does_not_answer_is_named(house: World) -> None:
    house.questions.busy = {"w2"}
    plan = planned(house, edit_app(arguments="-O fair"))
    assert plan.census.silent == {"w2": "it did not answer within 0.6 s"}


def test_nobody_is_asked_at_a_broker_that_is_down(house: World) -> None:
    house.branch.health = DOWN
    house.branch.run()
    plan = planned(house, edit(arguments="-O fair"))
    reason = "broker redis://h is down: refused"
    assert (plan.restarting, plan.waits_for) == (("w1",), reason)
    assert plan.census.silent == {"w1": reason}
    assert house.questions.asked_for_tasks == []


def test_what_a_branch_that_is_gone_keeps_waiting(house: World) -> None:
    house.branch.is_dead = True
    house.clock.sleep(1000)
    plan = planned(house, edit(arguments="-O fair"))
    assert plan.restarting == ("w1",)
    assert plan.waits_for == "the branch has made no pass for a while"
    assert plan.observed_at is not None
    assert planned(house, edit()).waits_for == ""


def test_a_crowd_is_not_made_larger(house: World) -> None:
    taken = [house.service.waits.slot() for _ in range(16)]
    for each in taken:
        each.__enter__()
    plan = planned(house, edit(arguments="-O fair"))
    assert "too many" in plan.census.silent["w1"]


REFUSED: list[tuple[Change, type[CymeError]]] = [
    (edit_app(pool="nope"), Invalid),
    (edit(pool="solo", max_concurrency=3), Invalid),
    (edit(queues=["nope"]), NotFound),
    (edit("w1", branch="elsewhere"), Conflict),
    (lambda service: service.apps.delete("foo", False, 5.0), Conflict),
    (lambda service: service.apps.delete("bar", True, 5.0), NotFound),
    (lambda service: service.instances.delete(None, "w9", False, 5.0), NotFound),
    (lambda service: service.instances.restart("foo", "w3", 5.0), Conflict),
    (lambda service: service.queues.delete("foo", "nope", 5.0), NotFound),
    (lambda service: service.consumers.add("foo", "w1", "nope", 5.0), NotFound),
    (lambda service: service.rollouts.resume("foo"), Conflict),
    (lambda service: service.pauses.pause(Place("foo"), "", -1.0, 5.0), Invalid),
]


@pytest.mark.parametrize(("change", "error"), REFUSED)
def test_what_is_refused_is_refused_in_the_same_words(
    house: World, change: Change, error: type[CymeError]
) -> None:
    with pytest.raises(error) as rehearsed:
        planned(house, change)
    with pytest.raises(error) as real:
        change(house.service)
    assert type(rehearsed.value) is type(real.value)
    assert rehearsed.value.to_wire() == real.value.to_wire()


# Rolling restarts


def test_a_rolling_restart_says_the_order(house: World) -> None:
    plan = planned(house, lambda service: service.rollouts.start("foo", None))
    assert plan.turns == (("w1",), ("w2",))
    assert plan.restarting == ("w1", "w2")
    plan = planned(house, lambda service: service.rollouts.start("foo", 2))
    assert plan.turns == (("w1", "w2"),)


def test_whom_a_rolling_restart_waits_for(house: World) -> None:
    stored(house, state=ProcessState.BACKOFF, pid=None, ready=False)
    house.branch.is_dead = True
    plan = planned(house, lambda service: service.rollouts.start("foo", None))
    assert (plan.turns, plan.restarting) == ((), ())
    assert plan.waits_for == "w2: the rolling restart waits until it consumes again"


def test_the_rest_of_one_that_stopped(house: World) -> None:
    house.branch.is_dead = True
    house.service.rollouts.start("foo", None)
    with house.store.writing() as tx:
        tx.save_rollout(
            RolloutStatus("foo", "b1", 1, 1, RolloutState.STOPPED, stopped_at="w1", left=("w2",))
        )
    house.branch.launches.launched("w1", 1000)
    assert house.service.plans.get("foo").turns == ()
    plan = planned(house, lambda service: service.rollouts.resume("foo"))
    assert plan.turns == (("w1",), ("w2",))
    assert planned(house, lambda service: service.rollouts.abort("foo")).turns == ()


def test_what_comes_anyway_does_not_come_of_another_change(house: World) -> None:
    house.branch.is_dead = True
    house.service.rollouts.start("foo", None)
    assert house.service.plans.get("foo").restarting == ("w1", "w2")
    assert planned(house, edit(queues=["mail"])).restarting == ()


# Messages


def test_purging_says_how_many_would_go(house: World) -> None:
    house.broker_queues.holds(BROKER, "tasks", 7)
    plan = planned(house, lambda service: service.queues.purge("foo", "tasks", 7))
    assert (plan.purged, plan.steps) == (7, ())
    plan = planned(house, lambda service: service.queues.delete("foo", "tasks", 5.0, purge=True))
    assert plan.purged == 7
    assert actions(plan) == {"w1": ["write", "cancel"], "w2": ["write", "cancel"]}
    assert planned(house, lambda service: service.queues.delete("foo", "tasks", 1)).purged is None
    with pytest.raises(Conflict):
        planned(house, lambda service: service.queues.purge("foo", "tasks", 100))
    assert house.service.queues.purge("foo", "tasks") == 7


def test_what_cannot_be_counted_cannot_be_purged(house: World) -> None:
    house.broker_queues.breaks(BROKER)
    with pytest.raises(Unavailable):
        planned(house, lambda service: service.queues.purge("foo", "tasks"))


def test_nothing_is_published(house: World) -> None:
    with pytest.raises(CymeError):
        house.service.rehearsal().service.tasks.queue_all("foo", "tasks", [URL])
    assert house.publisher.sent() == []


# A plan of what is


def test_the_plan_of_an_app_that_is_not_there(house: World) -> None:
    with pytest.raises(NotFound):
        house.service.plans.get("bar")


# On a database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqlStore]:
    store = SqlStore(sqlite_url(tmp_path / "branch.db"), BROKER)
    migrate(store.engine)
    yield store
    store.close()


def rows(store: SqlStore) -> list[str]:
    with store.engine.connect() as connection:
        return list(connection.connection.driver_connection.iterdump())  # type: ignore[union-attr]


def test_a_database_is_left_as_it_was(house: World, database: SqlStore) -> None:
    with house.store.reading() as view, database.writing() as tx:
        tx.save_branch(view.branch("b1"))
        tx.add_app(view.app("foo"))
        for queue in ("tasks", "mail"):
            tx.add_queue(view.queue("foo", queue))
        for instance in view.instances("foo"):
            tx.add_instance(instance)
    before, version = rows(database), database.version()
    rehearsal = house.over(database).rehearsal()
    for change, _ in CHANGES:
        rehearsal.plan(partial(change, rehearsal.service))
        assert rows(database) == before
    assert database.version() == version
    # And it is no comparison of nothing.
    house.over(database).apps.put("bar", {})
    assert rows(database) != before
    assert database.version() != version
