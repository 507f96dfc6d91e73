"""What one branch itself runs, of whatever application."""

from __future__ import annotations

import pytest

from cyme_supd.domain.spec import Instance
from cyme_supd.errors import NotFound
from tests.unit.service_support import BROKER, KEY, World, world
from tests.unit.values import AT

ELSEWHERE = "amqp://guest:guest@elsewhere:5672//"


@pytest.fixture
def at() -> World:
    made = world()
    for app in ("foo", "bar"):
        made.service.apps.put(app, {})
    made.service.instances.put("foo", "w2", {}, 5.0)
    made.service.instances.put("bar", "w1", {"broker": ELSEWHERE}, 5.0)
    with made.store.writing() as tx:
        tx.add_instance(Instance("other", "foo", "b2", AT))
    return made


def test_all_of_the_branch_by_name(at: World) -> None:
    found = at.service.roster.workers()
    assert [(one.name, one.app.name, one.broker) for one in found] == [
        ("w1", "bar", ELSEWHERE),
        ("w2", "foo", BROKER),
    ]


def test_one_of_them(at: World) -> None:
    assert at.service.roster.find("w1").app == "bar"


@pytest.mark.parametrize("name", ["other", "nobody"])
def test_one_that_is_not(at: World, name: str) -> None:
    with pytest.raises(NotFound):
        at.service.roster.find(name)


def test_one_that_is_being_deleted_is_none(at: World) -> None:
    at.branch.is_dead = True
    at.service.instances.delete("bar", "w1", False, None)
    with pytest.raises(NotFound):
        at.service.roster.find("w1")
    assert [one.name for one in at.service.roster.workers()] == ["w2"]


def test_stats_of_those_that_answer(at: World) -> None:
    at.questions.answer = {"pid": 7}
    assert at.service.roster.stats(0.5) == {"w1": {"pid": 7}, "w2": {"pid": 7}}
    at.questions.busy.add("w1")
    assert at.service.roster.stats(0.5) == {"w2": {"pid": 7}}


def test_who_is_disabled_is_not_asked(at: World) -> None:
    at.questions.answer = {"pid": 7}
    at.service.instances.disable("foo", "w2", 5.0)
    assert at.service.roster.stats(0.5).keys() == {"w1"}


def test_a_broker_that_does_not_answer(at: World) -> None:
    at.questions.answer = {"pid": 7}
    at.questions.down.add(ELSEWHERE)
    assert at.service.roster.stats(0.5).keys() == {"w2"}


def test_a_broker_that_is_known_to_be_down(at: World) -> None:
    at.questions.answer = {"pid": 7}
    at.branch.health = {"brokers": {KEY: {"ok": False, "reason": "refused"}}}
    at.branch.run()
    assert at.service.roster.stats(0.5).keys() == {"w1"}


def test_nobody_to_ask() -> None:
    assert world().service.roster.stats(0.5) == {}
