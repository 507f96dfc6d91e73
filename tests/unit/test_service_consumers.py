"""Consumers: what is wished, what is seen, and what each request waits for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cyme_supd.domain.status import ProcessState
from cyme_supd.errors import Conflict, Invalid, NotFound, SpawnFailed, Timeout
from cyme_supd.service import Outcome
from tests.unit.queue_support import (
    DOWN,
    add,
    declare,
    drop,
    generation,
    later,
    quarantined,
    start,
    wished,
    with_an_app,
)
from tests.unit.service_support import World


@pytest.fixture
def house() -> World:
    return with_an_app()


def test_consuming_waits_until_the_worker_does(house: World) -> None:
    declare(house)
    declare(house, "other")
    start(house)
    assert add(house) == (Outcome(True), True)
    assert house.clock.elapsed >= house.branch.takes_s
    assert add(house, "other") == (Outcome(True), True)
    assert wished(house) == ("tasks", "other")
    before = generation(house)
    assert add(house) == (Outcome(True), False)
    assert generation(house) == before


@pytest.mark.parametrize(
    "status", [{"queues": ()}, {"queues": None}, {"ready": None}, {"ready": False}]
)
def test_consuming_that_is_not_observed(house: World, status: dict[str, Any]) -> None:
    declare(house)
    start(house)
    house.branch.override = status
    with pytest.raises(Timeout, match="not consuming from 'tasks'"):
        add(house)
    assert wished(house) == ("tasks",)


def test_an_older_observation_proves_nothing(house: World) -> None:
    declare(house)
    start(house)
    house.branch.override = {"queues": ("tasks",), "generation": generation(house)}
    with pytest.raises(Timeout):
        add(house)


def test_a_queue_that_the_broker_refuses(house: World) -> None:
    declare(house)
    declare(house, "b: c")
    start(house, queues=["b: c"])
    message = "b: c: no; such; tasks: PRECONDITION_FAILED; inequivalent arg"
    house.branch.override = {"queues": (), "conditions": quarantined(message)}
    with pytest.raises(Conflict, match=r"'tasks' .*: PRECONDITION_FAILED; inequivalent arg \("):
        add(house)
    assert wished(house) == ("b: c", "tasks")
    with pytest.raises(Conflict, match=r"'b: c' .*: no; such \("):
        add(house, "b: c")


@pytest.mark.parametrize("message", ["tasks.more: no", "no tasks: here", "more: why tasks: no"])
def test_a_refusal_of_another_queue_is_not_ones_own(house: World, message: str) -> None:
    declare(house)
    start(house)
    house.branch.override = {"conditions": quarantined(message)}
    assert add(house) == (Outcome(True), True)


def test_an_older_refusal_is_not_for_this_wish(house: World) -> None:
    declare(house)
    start(house)
    with house.store.writing() as tx:
        known = tx.status("w1")
        assert known is not None
        tx.save_statuses([replace(known, conditions=quarantined("tasks: no"))])
    assert add(house) == (Outcome(True), True)


def test_a_worker_that_does_not_start(house: World) -> None:
    declare(house)
    start(house)
    house.branch.override = {"state": ProcessState.FATAL, "ready": False, "queues": None}
    with pytest.raises(SpawnFailed):
        add(house)
    assert wished(house) == ("tasks",)


def test_a_broker_that_is_down(house: World) -> None:
    declare(house)
    start(house)
    house.branch.health = DOWN
    house.branch.override = {"ready": None, "queues": None}
    at = house.clock.elapsed
    outcome, is_new = add(house)
    assert (outcome.is_converged, is_new) == (False, True)
    assert "refused" in outcome.reason
    assert not drop(house).is_converged
    assert house.clock.elapsed < at + 1


def test_a_disabled_instance_only_stores(house: World) -> None:
    declare(house)
    start(house)
    house.service.instances.disable("foo", "w1", 5)
    house.branch.is_dead = True
    at = house.clock.elapsed
    assert add(house) == (Outcome(True), True)
    assert add(house) == (Outcome(True), False)
    assert wished(house) == ("tasks",)
    assert drop(house) == Outcome(True)
    assert wished(house) == ()
    assert house.clock.elapsed == at


@pytest.mark.parametrize("act", [add, drop])
def test_unknown_queues_and_instances(house: World, act: Callable[..., Any]) -> None:
    declare(house)
    with pytest.raises(NotFound, match="w1"):
        act(house)
    start(house)
    with pytest.raises(NotFound, match="other"):
        act(house, "other")
    with pytest.raises(Invalid):
        act(house, "dq.w1")
    house.service.instances.delete("foo", "w1", False, None)
    with pytest.raises(Conflict, match="being deleted"):
        act(house)


def test_another_apps_instance(house: World) -> None:
    house.service.apps.put("bar", {})
    house.service.queues.put("bar", "tasks", {})
    start(house)
    consumers = house.service.consumers
    for ask in (
        lambda: consumers.add("bar", "w1", "tasks", 5),
        lambda: consumers.delete("bar", "w1", "tasks", 5),
        lambda: consumers.list("bar", "w1"),
    ):
        with pytest.raises(NotFound):
            ask()


# Consuming no longer


def test_dropping_waits_until_the_worker_does_not_consume(house: World) -> None:
    declare(house)
    start(house, queues=["tasks"])
    house.branch.override = {"queues": ("tasks",)}
    at = house.clock.elapsed
    later(house, house.branch.override.clear, at + 2)
    assert drop(house) == Outcome(True)
    assert house.clock.elapsed >= at + 2
    assert wished(house) == ()


def test_dropping_what_is_not_consumed_is_at_once(house: World) -> None:
    declare(house)
    start(house)
    before, at = generation(house), house.clock.elapsed
    house.branch.is_dead = True
    assert drop(house) == Outcome(True)
    assert (generation(house), house.clock.elapsed) == (before, at)


def test_dropping_again_what_is_still_consumed_waits(house: World) -> None:
    declare(house)
    start(house, queues=["tasks"])
    house.branch.override = {"queues": ("tasks",)}
    assert not drop(house, timeout_s=None).is_converged
    with pytest.raises(Timeout, match="without the queue 'tasks'"):
        drop(house)


def test_silence_does_not_prove_that_it_stopped_consuming(house: World) -> None:
    declare(house)
    start(house, queues=["tasks"])
    house.branch.override = {"ready": None, "queues": None}
    with pytest.raises(Timeout):
        drop(house)


def test_a_worker_without_a_process_consumes_nothing(house: World) -> None:
    declare(house)
    start(house, queues=["tasks"])
    house.branch.override = {"state": ProcessState.FATAL, "ready": False, "queues": None}
    assert drop(house) == Outcome(True)


# Listing


def test_what_it_consumes_from_now(house: World) -> None:
    declare(house)
    declare(house, "other", exchange_type="fanout")
    start(house, queues=["tasks", "other"])
    found = house.service.consumers.list("foo", "w1")
    assert [queue.name for queue in found.queues] == ["other", "tasks"]
    assert found.queues[0].exchange_type == "fanout"
    assert found.observed_at is None


def test_what_is_wished_is_not_what_is_seen(house: World) -> None:
    declare(house)
    start(house)
    house.branch.override = {"queues": ("stranger",)}
    add(house, timeout_s=None)
    house.clock.sleep(1)
    assert house.service.consumers.list("foo", "w1").queues == ()


def test_the_last_observation_of_a_silent_worker(house: World) -> None:
    declare(house)
    start(house, queues=["tasks"])
    house.branch.override = {"ready": None}
    house.clock.sleep(1)
    found = house.service.consumers.list("foo", "w1")
    assert [queue.name for queue in found.queues] == ["tasks"]
    assert found.observed_at == house.clock.now()


def test_the_last_observation_of_a_branch_that_is_gone(house: World) -> None:
    declare(house)
    start(house, queues=["tasks"])
    seen_at = house.clock.now()
    house.branch.is_dead = True
    house.clock.sleep(60)
    found = house.service.consumers.list("foo", "w1")
    assert [queue.name for queue in found.queues] == ["tasks"]
    assert found.observed_at == seen_at


def test_never_observed(house: World) -> None:
    declare(house)
    house.service.instances.put("foo", "w1", {"queues": ["tasks"]}, None)
    assert house.service.consumers.list("foo", "w1").queues == ()
    with pytest.raises(NotFound):
        house.service.consumers.list("foo", "w2")
