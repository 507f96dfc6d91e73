"""Finding orphans: whom it asks, whom it does not, and that it never waits for long."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.orphans import (
    Inventory,
    LeftQueue,
    LostTask,
    Orphans,
    Stray,
    StrayConsumer,
    Unknown,
)
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import ProcessState
from cyme_supd.errors import NotFound, Timeout, Unavailable
from cyme_supd.service.together import together
from tests.unit.queue_support import DOWN, declare, start, with_an_app
from tests.unit.service_support import BROKER, HERE, START, World, world

OTHER = "redis://127.0.0.1:6379/3"
SHOWN = f"broker {parse_broker(BROKER).masked_url}"
STRAY = Stray(7, "w1", "sleep 60", START)


@pytest.fixture
def house() -> World:
    made = with_an_app()
    declare(made)
    start(made, queues=["tasks"])
    says(made)
    return made


def says(house: World, *more: str, name: str = "w1") -> None:
    queues = frozenset({f"dq.{name}", "tasks", *more})
    house.questions.known[f"{name}@{HERE.id}"] = Inventory(queues, frozenset({"house.add"}))


def find(house: World) -> Orphans:
    return house.service.orphans.find("foo")


def test_nothing_where_all_is_well(house: World) -> None:
    house.broker_queues.holds(BROKER, "tasks", 3, None, {"house.add": 3})
    assert find(house) == Orphans((), (), (), (), ())


def test_of_an_app_that_is_not_there(house: World) -> None:
    with pytest.raises(NotFound):
        house.service.orphans.find("bar")


def test_all_kinds(house: World) -> None:
    declare(house, "others")
    house.broker_queues.holds(BROKER, "others", 2, None, {"house.old": 2})
    says(house, "stray")
    house.strays.left = [STRAY]
    assert find(house) == Orphans(
        queues=(LeftQueue("others", 2, "no instance consumes it"),),
        consumers=(StrayConsumer("w1", "stray"),),
        tasks=(LostTask("house.old", "others", 2),),
        processes=(STRAY,),
        unknown=(),
    )


def test_each_is_asked_at_its_own_broker(house: World) -> None:
    declare(house, "others")
    start(house, "w2", broker=OTHER, queues=["others"])
    house.broker_queues.holds(BROKER, "others", 2, None)
    house.broker_queues.holds(OTHER, "others", 5, None, {})
    says(house, name="w2")
    (left,) = find(house).queues
    assert (left.name, left.depth) == ("others", 5)


def test_the_own_queue_of_one_that_consumes_is_not_looked_at(house: World) -> None:
    find(house)
    assert (BROKER, "dq.w1") not in house.broker_queues.asked
    house.service.instances.disable("foo", "w1", 5)
    house.broker_queues.holds(BROKER, "dq.w1", 1, 0)
    (left,) = find(house).queues
    assert left == LeftQueue("dq.w1", 1, "nobody consumes it")


def test_only_those_that_run_are_asked(house: World) -> None:
    start(house, "w2")
    house.service.instances.disable("foo", "w2", 5)
    assert find(house).unknown == ()
    assert house.questions.asked == ["w1@b1"]
    house.branch.override = {"state": ProcessState.BACKOFF}
    house.clock.sleep(1)
    assert find(house).unknown == ()
    assert house.questions.asked == ["w1@b1"]


def test_one_that_says_nothing(house: World) -> None:
    house.questions.known.clear()
    house.broker_queues.holds(BROKER, "tasks", 3, None, {})
    (silent, queue, _looked) = find(house).unknown
    assert silent == Unknown("instance w1", "it does not answer")
    assert queue == Unknown("queue tasks", "w1 should consume it")


def test_a_broker_that_is_down_when_it_is_asked(house: World) -> None:
    house.broker_queues.breaks(BROKER)
    house.questions.down.add(BROKER)
    house.strays.left = [STRAY]
    found = find(house)
    assert found.processes == (STRAY,)
    assert [each.what for each in found.unknown] == [SHOWN]


def test_one_that_is_known_to_be_down_is_not_asked(house: World) -> None:
    house.branch.health = DOWN
    house.clock.sleep(1)
    house.questions.asked.clear()
    (unknown,) = find(house).unknown
    assert unknown == Unknown(SHOWN, "broker redis://h is down: refused")
    assert (house.questions.asked, house.broker_queues.asked) == ([], [])


def test_a_queue_that_the_broker_does_not_tell_of(house: World) -> None:
    house.broker_queues.refuses(BROKER, "tasks")
    assert find(house).unknown == (Unknown("queue tasks", "its broker does not tell of it"),)


def test_of_a_branch_that_has_gone_everybody_is_asked(house: World) -> None:
    house.branch.is_dead = True
    house.clock.sleep(4 * HERE.sup_interval)
    house.questions.asked.clear()
    find(house)
    assert house.questions.asked == ["w1@b1"]
    assert (BROKER, "dq.w1") in house.broker_queues.asked


def test_processes_of_other_apps_are_theirs(house: World) -> None:
    house.service.apps.put("bar", {})
    house.service.instances.put("bar", "b1", {}, 5)
    theirs, nobodys = replace(STRAY, instance="b1"), replace(STRAY, instance="gone")
    house.strays.left = [STRAY, theirs, nobodys]
    assert find(house).processes == (STRAY, nobodys)


def test_a_host_that_does_not_tell(house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> list[Stray]:
        raise Unavailable("no /proc")

    monkeypatch.setattr(house.strays, "strays", refuse)
    assert find(house).unknown == (Unknown("processes", "no /proc"),)


def test_who_hangs_is_not_waited_for(house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(workers: list[Worker], timeout_s: float) -> Any:
        release.wait(30)
        return {}

    monkeypatch.setattr(house.questions, "inventories", hang)
    begun = time.monotonic()
    try:
        unknown = find(house).unknown
    finally:
        release.set()
    assert time.monotonic() - begun < 2
    assert unknown == (Unknown(SHOWN, "no answer within 0.85 s"),)


def test_where_too_many_wait_nobody_is_asked() -> None:
    house = world(max_waits=0)
    house.service.apps.put("foo", {})
    declare(house)
    assert [each.what for each in find(house).unknown] == ["processes", SHOWN]
    assert house.broker_queues.asked == []


def test_questions_are_asked_together() -> None:
    both = threading.Barrier(2)
    late = threading.Event()
    try:
        answers = together({"a": lambda: both.wait(5), "b": lambda: both.wait(5)}, 5)
        assert sorted(answers.values()) == [0, 1]
        assert isinstance(together({"a": lambda: late.wait(30)}, 0.01)["a"], Timeout)
    finally:
        late.set()
    with pytest.raises(ZeroDivisionError):
        together({"a": lambda: 1 / 0}, 5)
