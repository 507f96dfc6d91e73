"""What is done about messages, and what is told of the branch."""

from __future__ import annotations

import logging
from email.utils import parsedate_to_datetime

import pytest

from cyme_supd.domain.spec import Instance
from cyme_supd.errors import Conflict
from cyme_supd.srs.desk import APP, Desk
from cyme_supd.srs.messages import Creation, State, Update
from tests.unit.service_support import BROKER, START, World, world
from tests.unit.values import AT

HOST = {"load_average": [0.5, 0.25, 0.125], "disk_use": 40.0, "memory": None}
ELSEWHERE = "amqp://u:p@elsewhere:5672//"


@pytest.fixture
def at() -> World:
    return world()


@pytest.fixture
def desk(at: World) -> Desk:
    return Desk(at.service, at.clock, lambda: HOST)


def of(at: World, name: str, app: str = APP) -> Instance:
    return at.service.instances.get(app, name).instance


def test_an_instance_is_made_with_its_own_broker(at: World, desk: Desk) -> None:
    desk.create(Creation("w1", ELSEWHERE))
    desk.create(Creation("w2", None))
    assert (of(at, "w1").broker, of(at, "w2").broker) == (ELSEWHERE, None)
    assert of(at, "w1").branch == "b1"
    assert at.service.apps.get(APP).app.broker is None
    assert at.hints.sent


def test_the_same_again_changes_nothing(at: World, desk: Desk) -> None:
    desk.create(Creation("w1", ELSEWHERE))
    at.clock.sleep(1.0)
    before = of(at, "w1")
    desk.create(Creation("w1", ELSEWHERE))
    desk.create(Creation("w1", None))
    assert of(at, "w1") == before


def test_another_broker_is_an_edit(at: World, desk: Desk) -> None:
    desk.create(Creation("w1", None))
    at.clock.sleep(1.0)
    desk.create(Creation("w1", ELSEWHERE))
    assert of(at, "w1").broker == ELSEWHERE


def test_it_brings_back_what_was_stopped(at: World, desk: Desk) -> None:
    desk.create(Creation("w1", None))
    at.clock.sleep(1.0)
    desk.update(Update("w1", State.STOPPING))
    assert of(at, "w1").is_enabled is False
    desk.create(Creation("w1", None))
    assert of(at, "w1").is_enabled is True


def test_a_name_that_is_another_app_s(at: World, desk: Desk) -> None:
    at.service.apps.put("foo", {})
    at.service.instances.put("foo", "w1", {}, 5.0)
    with pytest.raises(Conflict):
        desk.create(Creation("w1", None))


def test_updates_are_of_instances_of_any_app(at: World, desk: Desk) -> None:
    at.service.apps.put("foo", {})
    at.service.instances.put("foo", "w1", {}, 5.0)
    desk.update(Update("w1", State.STOPPING))
    assert of(at, "w1", "foo").is_enabled is False
    desk.update(Update("w1", State.DELETING))
    at.clock.sleep(1.0)
    assert at.service.instances.names("foo") == []


def test_what_is_on_another_branch_is_none_of_ours(
    at: World, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    at.service.apps.put("foo", {})
    with at.store.writing() as tx:
        tx.add_instance(Instance("w1", "foo", "b2", AT))
    with caplog.at_level(logging.INFO):
        desk.update(Update("w1", State.DELETING))
        desk.update(Update("nobody", State.DELETING))
    assert at.service.instances.names("foo") == ["w1"]
    assert caplog.records == []


def test_all_instances_of_the_branch(at: World, desk: Desk) -> None:
    assert desk.instances() == []
    desk.create(Creation("w2", ELSEWHERE))
    desk.create(Creation("w1", None))
    first, second = desk.instances()
    assert first["name"] == "w1"
    assert second == {
        "name": "w2",
        "app": "srs",
        "branch": "b1",
        "is_enabled": True,
        "queues": [],
        "broker": {
            "hostname": "elsewhere",
            "port": 5672,
            "userid": "u",
            "password": "********",
            "virtual_host": "/",
            "transport": "amqp",
            "url": "amqp://u:********@elsewhere:5672//",
        },
        "max_concurrency": 1,
        "min_concurrency": 1,
    }
    assert BROKER not in str(first)


def test_statistics(at: World, desk: Desk) -> None:
    desk.create(Creation("w1", None))
    desk.create(Creation("w2", None))
    at.clock.sleep(1.0)
    desk.update(Update("w2", State.STOPPING))
    at.questions.answer = {"pid": 7, "total": {}}
    now = "Fri, 02 Jan 2026 03:04:06 +0000"
    assert desk.statistics() == {
        "agents": {
            "b1": {
                "loadavg": [now, 0.5, 0.25, 0.125],
                "instances": [now, 2, 1],
                "drive_used": [now, 40.0],
            }
        },
        "instances": {"w1": {"pid": 7, "total": {}}},
    }
    assert (parsedate_to_datetime(now) - START).total_seconds() == 1.0
