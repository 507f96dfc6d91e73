"""What brokers tell of queues: which is asked, when not, and emptying."""

from __future__ import annotations

from typing import Any

import pytest

from cyme_supd.domain.status import Depth
from cyme_supd.errors import Conflict, NotFound, Unavailable
from cyme_supd.service.brokers import broker_of_queue
from tests.unit.queue_support import DOWN, declare, start, wished, with_an_app
from tests.unit.service_support import BROKER, HERE, World

APPS = "amqp://app:pw@127.0.0.1:5672//"
OTHER = "amqp://other:pw@127.0.0.1:5672//"
THIRD = "redis://127.0.0.1:6379/3"


@pytest.fixture
def house() -> World:
    return with_an_app()


def broker(house: World, queue: str = "tasks") -> str:
    with house.store.reading() as view:
        return broker_of_queue(view, view.app("foo"), queue, HERE)


def depth(house: World) -> Depth | None:
    return house.service.queues.details("foo", "tasks").depth


def delete(house: World, name: str = "tasks", **more: Any) -> bool:
    return house.service.queues.delete("foo", name, 5, purge=True, **more).is_converged


# Which broker


def test_the_branch_s_own_unless_the_app_has_one(house: World) -> None:
    assert broker(house) == BROKER
    house.service.apps.put("foo", {"broker": APPS})
    assert broker(house) == APPS


@pytest.mark.parametrize(
    ("brokers", "expected"),
    [
        ([OTHER], OTHER),
        ([OTHER, OTHER], OTHER),
        ([OTHER, None], APPS),
        ([OTHER, APPS], APPS),
        ([OTHER, THIRD], APPS),
    ],
)
def test_the_one_where_all_consume(house: World, brokers: list[str | None], expected: str) -> None:
    house.service.apps.put("foo", {"broker": APPS})
    declare(house)
    for number, url in enumerate(brokers):
        start(house, f"w{number}", queues=["tasks"], broker=url)
    assert broker(house) == expected
    assert broker(house, "unknown") == APPS


def test_only_those_that_should_consume_count(house: World) -> None:
    declare(house)
    start(house, "w1", queues=["tasks"], broker=OTHER)
    start(house, "w2", broker=THIRD)
    start(house, "w3", queues=["tasks"], broker=THIRD)
    assert broker(house) == BROKER
    house.service.instances.disable("foo", "w3", 5)
    assert broker(house) == OTHER
    house.branch.is_dead = True
    house.service.instances.delete("foo", "w1", False, None)
    assert broker(house) == BROKER


# Depth


def test_the_queue_s_broker_is_asked(house: World) -> None:
    declare(house)
    house.broker_queues.holds(BROKER, "tasks", 3, 2)
    house.broker_queues.holds(OTHER, "tasks", 7, None)
    assert depth(house) == Depth(3, 2)
    start(house, queues=["tasks"], broker=OTHER)
    assert depth(house) == Depth(7, None)
    assert house.broker_queues.asked == [(BROKER, "tasks"), (OTHER, "tasks")]


def test_one_that_does_not_answer_tells_nothing(house: World) -> None:
    declare(house)
    house.broker_queues.breaks(BROKER)
    assert depth(house) is None


def test_one_that_is_known_to_be_down_is_not_asked(house: World) -> None:
    declare(house)
    house.branch.health = DOWN
    house.clock.sleep(1)
    assert depth(house) is None
    assert house.broker_queues.asked == []


def test_of_a_branch_that_has_gone_nothing_is_believed(house: World) -> None:
    declare(house)
    house.branch.health = DOWN
    house.clock.sleep(1)
    house.branch.is_dead = True
    house.clock.sleep(4 * HERE.sup_interval)
    assert depth(house) == Depth(0, 0)


def test_only_declared_queues_are_asked_for(house: World) -> None:
    for app, name in (("foo", "nope"), ("nope", "tasks")):
        with pytest.raises(NotFound):
            house.service.queues.details(app, name)
    assert house.broker_queues.asked == []


# Emptying


def test_forgetting_empties_only_when_asked(house: World) -> None:
    declare(house)
    house.broker_queues.holds(BROKER, "tasks", 3)
    assert house.service.queues.delete("foo", "tasks", 5).is_converged
    assert house.broker_queues.depth(BROKER, "tasks") == Depth(3, 0)
    declare(house)
    assert delete(house)
    assert house.broker_queues.depth(BROKER, "tasks") == Depth(0, 0)
    assert house.service.queues.names("foo") == []


def test_it_is_emptied_where_it_is_consumed(house: World) -> None:
    declare(house)
    start(house, queues=["tasks"], broker=OTHER)
    assert delete(house)
    assert house.broker_queues.asked == [(OTHER, "tasks")]


def test_what_cannot_be_emptied_stays_declared(house: World) -> None:
    declare(house)
    start(house, queues=["tasks"])
    house.broker_queues.breaks(BROKER)
    with pytest.raises(Unavailable):
        delete(house)
    house.broker_queues.mends(BROKER)
    house.broker_queues.refuses(BROKER, "tasks")
    with pytest.raises(Conflict):
        delete(house)
    assert house.service.queues.names("foo") == ["tasks"]
    assert wished(house) == ("tasks",)


def test_a_broker_that_is_known_to_be_down_is_not_tried(house: World) -> None:
    declare(house)
    house.branch.health = DOWN
    house.clock.sleep(1)
    with pytest.raises(Unavailable, match="'tasks'"):
        delete(house)
    assert house.broker_queues.asked == []
    assert house.service.queues.names("foo") == ["tasks"]


def test_nothing_is_emptied_for_what_is_not_there_or_goes(house: World) -> None:
    declare(house)
    start(house)
    with pytest.raises(NotFound):
        delete(house, "nope")
    house.service.apps.delete("foo", True, None)
    with pytest.raises(Conflict, match="being deleted"):
        delete(house)
    assert house.broker_queues.asked == []
