"""Instances: created, edited, acted upon, and what each request waits for."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from cyme_supd.domain.status import ProcessState
from cyme_supd.errors import (
    Conflict,
    Invalid,
    NotFound,
    Timeout,
    Unavailable,
)
from cyme_supd.service import Outcome
from tests.unit.service_support import World, declare, generation, put

# Creating


def test_a_creation_waits_until_the_worker_is_ready(house: World) -> None:
    reply = put(house, max_concurrency=3)
    assert (reply.is_new, reply.outcome) == (True, Outcome(True))
    assert reply.details.status.ready is True
    assert reply.details.status.pid == 1000
    assert house.clock.elapsed >= house.branch.takes_s


def test_an_anonymous_one_gets_a_name_of_its_own(house: World) -> None:
    names = {put(house, None).details.instance.name for _ in range(3)}
    assert len(names) == 3
    assert {len(name) for name in names} == {36}


def test_without_waiting_it_is_only_stored(house: World) -> None:
    reply = house.service.instances.put("foo", "w1", {}, None)
    assert not reply.outcome.is_converged
    assert house.clock.elapsed == 0
    assert reply.details.status is None


@pytest.mark.parametrize(
    "given",
    [
        {"max_concurrency": 2, "min_concurrency": 3},
        {"min_concurrency": 2},
        {"pool": "threads", "max_concurrency": 4},
        {"pool": "solo", "max_concurrency": 2, "min_concurrency": 2},
        {"max_concurrency": True},
    ],
)
def test_limits_that_cannot_be(house: World, given: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        put(house, **given)
    assert house.service.instances.names("foo") == []


def test_no_more_than_supervisord_has_room_for(house: World) -> None:
    house.branch.health["supervisord"] = {"ok": True, "room": 1}
    assert put(house).is_new
    with pytest.raises(Unavailable, match="room for 1") as refused:
        put(house, "w2")
    assert "cyme-branch" in refused.value.hint
    assert house.service.instances.names("foo") == ["w1"]
    assert not put(house, max_concurrency=2).is_new


def test_queues_must_be_declared(house: World) -> None:
    declare(house, "tasks")
    with pytest.raises(NotFound, match="other"):
        put(house, queues=["tasks", "other"])
    assert put(house, queues="tasks, tasks").details.instance.queues == ("tasks",)


def test_another_branch_is_not_here(house: World) -> None:
    with pytest.raises(NotFound, match="b2") as refused:
        put(house, branch="b2")
    assert "b1" in refused.value.hint
    assert put(house, branch="b1").is_new


def test_a_name_belongs_to_one_app(house: World) -> None:
    put(house)
    house.service.apps.put("bar", {})
    with pytest.raises(Conflict, match="foo"):
        house.service.instances.put("bar", "w1", {}, 5)
    with pytest.raises(NotFound):
        house.service.instances.get("bar", "w1")


def test_an_app_that_is_not_there(house: World) -> None:
    for app in ("nope", "bar"):
        with pytest.raises(NotFound):
            house.service.instances.put(app, "w1", {}, 5)
        with pytest.raises(NotFound):
            house.service.instances.names(app)


def test_asked_for_twice_at_once(house: World) -> None:
    house.service.instances.put("foo", "w1", {"max_concurrency": 2}, None)
    with pytest.raises(Conflict, match="same moment"):
        put(house, max_concurrency=3)
    joined = put(house, max_concurrency=2)
    assert (joined.is_new, joined.outcome.is_converged) == (False, True)
    assert joined.details.instance.generation == 1


def test_threads_that_create_one_name(house: World) -> None:
    house.branch.is_dead = True
    start = threading.Barrier(8)
    answers: list[str] = []

    def create(most: int) -> None:
        start.wait()
        try:
            house.service.instances.put("foo", "w1", {"max_concurrency": most}, None)
            answers.append("ok")
        except Conflict:
            answers.append("conflict")

    threads = [threading.Thread(target=create, args=(most,)) for most in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["conflict"] * 7 + ["ok"]


# Editing


def test_an_edit_answers_when_it_is_stored(house: World) -> None:
    put(house)
    house.branch.is_dead = True
    at = house.clock.elapsed
    reply = put(house, max_concurrency=5)
    assert (reply.is_new, reply.outcome.is_converged) == (False, True)
    assert house.clock.elapsed == at
    assert reply.details.instance.max_concurrency == 5
    assert reply.restarting == ()


def test_an_edit_says_when_it_takes_a_new_process(house: World) -> None:
    put(house)
    assert put(house, arguments="-O fair").restarting == ("w1",)
    assert put(house, arguments="-O fair").restarting == ()
    assert put(house, pool="threads").restarting == ("w1",)
    assert put(house, max_concurrency=2, min_concurrency=2).restarting == ("w1",)
    house.service.instances.disable("foo", "w1", 5)
    assert put(house, pool="solo", max_concurrency=1, min_concurrency=1).restarting == ()


def test_an_edit_of_nothing_is_not_one(house: World) -> None:
    put(house, max_concurrency=3)
    before = generation(house)
    put(house)
    put(house, max_concurrency=3)
    assert generation(house) == before


def test_absent_is_unchanged_and_empty_is_the_default(house: World) -> None:
    declare(house, "tasks")
    put(house, max_concurrency=3, queues=["tasks"], broker="amqp://h//")
    put(house, broker=None)
    spec = house.service.instances.get("foo", "w1").instance
    assert (spec.max_concurrency, spec.queues, spec.broker) == (3, ("tasks",), None)
    put(house, max_concurrency=None, queues=None)
    spec = house.service.instances.get("foo", "w1").instance
    assert (spec.max_concurrency, spec.queues) == (1, ())


def test_an_instance_does_not_move(house: World) -> None:
    put(house)
    with pytest.raises(Conflict, match="b1"):
        put(house, branch="b2")
    assert not put(house, branch="b1").is_new


# Acting


def test_disable_enable_restart(house: World) -> None:
    put(house)
    instances = house.service.instances
    assert instances.disable("foo", "w1", 5).is_converged
    assert instances.get("foo", "w1").status.state is ProcessState.STOPPED  # type: ignore[union-attr]
    with pytest.raises(Conflict, match="disabled"):
        instances.restart("foo", "w1", 5)
    assert instances.enable("foo", "w1", 5).is_converged
    assert instances.restart("foo", "w1", 5).is_converged
    assert instances.get("foo", "w1").status.pid == 1001  # type: ignore[union-attr]


def test_enabling_what_is_enabled_changes_nothing(house: World) -> None:
    put(house)
    before = generation(house)
    assert house.service.instances.enable("foo", "w1", 5).is_converged
    assert generation(house) == before


def test_an_observation_of_before_does_not_count(house: World) -> None:
    put(house)
    house.branch.is_dead = True
    with pytest.raises(Timeout, match=r"w1 is not ready after 1 s: state RUNNING, ready, before"):
        house.service.instances.restart("foo", "w1", 1)


def test_a_deletion_waits_until_it_is_gone(house: World) -> None:
    put(house)
    assert house.service.instances.delete("foo", "w1", False, 5).is_converged
    with pytest.raises(NotFound):
        house.service.instances.get("foo", "w1")
    with pytest.raises(NotFound):
        house.service.instances.delete("foo", "w1", False, 5)


def test_a_deletion_needs_no_app_and_can_be_forced_later(house: World) -> None:
    put(house)
    house.branch.is_dead = True
    with pytest.raises(Timeout, match="not gone"):
        house.service.instances.delete(None, "w1", False, 1)
    house.service.instances.delete(None, "w1", True, None)
    spec = house.service.instances.get("foo", "w1").instance
    assert (spec.is_deleting, spec.is_forced) == (True, True)
    house.service.instances.delete(None, "w1", False, None)
    assert house.service.instances.get("foo", "w1").instance.is_forced


def test_what_is_being_deleted_is_left_alone(house: World) -> None:
    put(house)
    house.branch.is_dead = True
    instances = house.service.instances
    instances.delete("foo", "w1", False, None)
    assert instances.names("foo") == []
    for act in (
        lambda: put(house),
        lambda: instances.enable("foo", "w1", 1),
        lambda: instances.disable("foo", "w1", 1),
        lambda: instances.restart("foo", "w1", 1),
        lambda: instances.autoscale("foo", "w1", {"max_concurrency": 2}, 1),
    ):
        with pytest.raises(Conflict, match="being deleted"):
            act()


def test_autoscale_waits_for_the_limits(house: World) -> None:
    put(house)
    given = {"max_concurrency": 7, "min_concurrency": 2}
    assert house.service.instances.autoscale("foo", "w1", given, 5).outcome.is_converged
    assert house.service.instances.get("foo", "w1").status.autoscale == (7, 2)  # type: ignore[union-attr]
    house.branch.override = {"autoscale": (1, 1)}
    with pytest.raises(Timeout, match="not scaled"):
        house.service.instances.autoscale("foo", "w1", {"max_concurrency": 8}, 1)


def test_autoscale_without_an_autoscaler(house: World) -> None:
    put(house, pool="threads")
    given = {"max_concurrency": 4, "min_concurrency": 4}
    assert house.service.instances.autoscale("foo", "w1", given, 5).outcome.is_converged
    with pytest.raises(Invalid, match="threads"):
        house.service.instances.autoscale("foo", "w1", {"max_concurrency": 5}, 5)
    put(house, "w2", pool="solo")
    with pytest.raises(Invalid, match="solo"):
        house.service.instances.autoscale("foo", "w2", {"max_concurrency": 1}, 5)


def test_autoscale_of_a_disabled_one_is_only_stored(house: World) -> None:
    put(house)
    house.service.instances.disable("foo", "w1", 5)
    house.branch.is_dead = True
    reply = house.service.instances.autoscale("foo", "w1", {"max_concurrency": 4}, 5)
    assert reply.outcome.is_converged
    assert reply.details.instance.max_concurrency == 4
