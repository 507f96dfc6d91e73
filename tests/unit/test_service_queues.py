"""Declarations: stored, edited, and what each request waits for."""

from __future__ import annotations

from typing import Any

import pytest

from cyme_supd.errors import Conflict, Invalid, NotFound, Timeout
from cyme_supd.service import Outcome
from tests.unit.queue_support import (
    declare,
    generation,
    later,
    start,
    wished,
    with_an_app,
)
from tests.unit.service_support import START, World


@pytest.fixture
def house() -> World:
    return with_an_app()


def test_a_declaration_has_defaults(house: World) -> None:
    reply = declare(house)
    queue = reply.queue
    assert (reply.is_new, reply.restarting) == (True, ())
    assert (queue.exchange, queue.exchange_type, queue.routing_key) == ("tasks", "direct", "tasks")
    assert (queue.options, queue.created_at) == ({}, START)
    assert house.service.queues.get("foo", "tasks") == queue


def test_absent_is_unchanged_and_empty_is_the_default(house: World) -> None:
    declare(house, exchange="e", exchange_type="topic", routing_key="a.*", options='{"expires": 5}')
    reply = declare(house, routing_key=None)
    assert not reply.is_new
    assert (reply.queue.exchange, reply.queue.exchange_type) == ("e", "topic")
    assert (reply.queue.routing_key, reply.queue.options) == ("tasks", {"expires": 5})
    reply = declare(house, exchange=None, exchange_type=None, options=None)
    assert (reply.queue.exchange, reply.queue.exchange_type) == ("tasks", "direct")
    assert reply.queue.options == {}


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("dq.w1", {}),
        ("", {}),
        ("a\nb", {}),
        ("q" * 129, {}),
        ("é" * 128, {}),
        ("tasks", {"exchange_type": "bogus"}),
        ("tasks", {"exchange": "a\x00"}),
        ("tasks", {"routing_key": "k" * 129}),
        ("tasks", {"options": "[1]"}),
        ("tasks", {"options": "{"}),
    ],
)
def test_what_no_queue_can_be(house: World, name: str, given: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        declare(house, name, **given)
    assert house.service.queues.names("foo") == []


def test_names_are_an_apps_own(house: World) -> None:
    house.service.apps.put("bar", {})
    for name in ("c", "a", "b"):
        declare(house, name)
    assert house.service.queues.names("foo") == ["a", "b", "c"]
    assert house.service.queues.names("foo", "a", 1) == ["b"]
    assert house.service.queues.names("bar") == []
    with pytest.raises(NotFound):
        house.service.queues.get("bar", "a")


def test_an_app_or_queue_that_is_not_there(house: World) -> None:
    queues = house.service.queues
    for ask in (
        lambda: queues.names("nope"),
        lambda: queues.get("nope", "q"),
        lambda: queues.put("nope", "q", {}),
        lambda: queues.delete("nope", "q", 5),
        lambda: queues.get("foo", "q"),
        lambda: queues.delete("foo", "q", 5),
    ):
        with pytest.raises(NotFound):
            ask()


def test_an_app_that_is_being_deleted(house: World) -> None:
    declare(house)
    start(house, queues=["tasks"])
    house.service.apps.delete("foo", True, None)
    with pytest.raises(Conflict, match="being deleted"):
        declare(house, "other")
    with pytest.raises(Conflict, match="being deleted"):
        house.service.queues.delete("foo", "tasks", 5)


def test_an_edit_says_who_restarts(house: World) -> None:
    declare(house)
    declare(house, "other")
    start(house, "w1", queues=["tasks"])
    start(house, "w2", queues=["other"])
    start(house, "w3", queues=["tasks"])
    house.service.instances.disable("foo", "w3", 5)
    before = generation(house)
    sent = house.hints.sent
    assert declare(house, exchange="e").restarting == ("w1",)
    assert generation(house) == before + 1
    assert house.hints.sent == sent + 1
    assert declare(house, exchange="e").restarting == ()
    assert generation(house) == before + 1


# Forgetting


def test_forgetting_waits_until_all_let_go(house: World) -> None:
    declare(house)
    start(house, "w1", queues=["tasks"])
    start(house, "w2", queues=["tasks"])
    house.branch.override = {"queues": ("tasks",)}
    at = house.clock.elapsed
    later(house, house.branch.override.clear, at + 2)
    assert house.service.queues.delete("foo", "tasks", 5) == Outcome(True)
    assert house.clock.elapsed >= at + 2
    assert (wished(house), wished(house, "w2")) == ((), ())
    assert house.service.queues.names("foo") == []


def test_forgetting_that_takes_too_long(house: World) -> None:
    declare(house)
    start(house, queues=["tasks"])
    house.branch.override = {"queues": ("tasks",)}
    with pytest.raises(Timeout, match="tasks"):
        house.service.queues.delete("foo", "tasks", 5)
    assert house.service.queues.names("foo") == []


def test_forgetting_does_not_wait_for_the_silent(house: World) -> None:
    declare(house)
    start(house, queues=["tasks"])
    house.branch.override = {"ready": None, "queues": None}
    at = house.clock.elapsed
    assert house.service.queues.delete("foo", "tasks", 5).is_converged
    assert house.clock.elapsed < at + 1


def test_forgetting_what_nobody_runs_with_is_at_once(house: World) -> None:
    declare(house)
    start(house, queues=["tasks"])
    house.service.instances.disable("foo", "w1", 5)
    house.branch.is_dead = True
    at = house.clock.elapsed
    assert house.service.queues.delete("foo", "tasks", 5).is_converged
    assert house.clock.elapsed == at
    assert wished(house) == ()


def test_an_instance_deleted_meanwhile_has_let_go(house: World) -> None:
    declare(house)
    start(house, queues=["tasks"])
    house.branch.override = {"queues": ("tasks",)}
    delete = house.service.instances.delete
    later(house, lambda: delete("foo", "w1", False, None), house.clock.elapsed + 1)
    assert house.service.queues.delete("foo", "tasks", 5).is_converged


def test_forgetting_without_waiting(house: World) -> None:
    declare(house)
    start(house, queues=["tasks"])
    at = house.clock.elapsed
    assert not house.service.queues.delete("foo", "tasks", None).is_converged
    assert house.clock.elapsed == at
