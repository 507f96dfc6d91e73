"""Applications: created, edited, deleted, and what that does to their instances."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cyme_supd.domain.status import ProcessState
from cyme_supd.errors import Conflict, Invalid, NotFound, Timeout
from cyme_supd.service import ThisBranch
from tests.unit.service_support import BROKER, HERE, World, world


@pytest.fixture
def house() -> World:
    return world()


def test_an_app_is_created_on_the_default_broker(house: World) -> None:
    reply = house.service.apps.put("foo", {"port": 1, "userid": "ignored"})
    assert reply.is_new
    assert reply.details.app.broker is None
    assert reply.details.broker.url == BROKER
    assert house.service.apps.names() == ["foo"]
    assert house.hints.sent == 1


def test_hostname_means_amqp_unless_said(house: World) -> None:
    house.service.apps.put("foo", {"hostname": "mq"})
    assert house.service.apps.get("foo").broker.url == "amqp://guest:guest@mq:5672//"
    given = {"hostname": "mq", "port": 7, "userid": "u", "password": "p", "virtual_host": "v"}
    house.service.apps.put("foo", given)
    assert house.service.apps.get("foo").broker.url == "amqp://u:p@mq:7/v"
    house.service.apps.put("foo", {"hostname": "r", "transport": "redis"})
    assert house.service.apps.get("foo").broker.url == "redis://r:6379/0"


@pytest.mark.parametrize("part", ["password", "port", "userid", "virtual_host", "transport"])
def test_a_part_of_a_broker_is_no_edit(house: World, part: str) -> None:
    house.service.apps.put("foo", {"hostname": "mq"})
    with pytest.raises(Invalid, match=part) as refused:
        house.service.apps.put("foo", {part: "redis" if part == "transport" else "7"})
    assert "hostname" in refused.value.hint


def test_a_broker_is_given_once(house: World) -> None:
    with pytest.raises(Invalid, match="broker and hostname"):
        house.service.apps.put("foo", {"broker": "amqp://h//", "hostname": "h"})


def test_absent_is_unchanged_and_empty_is_the_default(house: World) -> None:
    given = {"pool": "gevent", "arguments": "-O fair", "directory": "/srv", "stop_timeout_s": 5}
    house.service.apps.put("foo", {"broker": "amqp://h//", "environment": "A=1", **given})
    house.service.apps.put("foo", {"pool": None, "environment": ""})
    app = house.service.apps.get("foo").app
    assert (app.pool, app.environment) == (None, {})
    assert (app.arguments, app.directory, app.stop_timeout_s) == (("-O", "fair"), "/srv", 5)
    house.service.apps.put("foo", {"broker": None})
    assert house.service.apps.get("foo").app.broker is None


def test_a_user_needs_root(house: World) -> None:
    with pytest.raises(Invalid, match="root"):
        house.service.apps.put("foo", {"user": "nobody"})
    root = world(here=replace(HERE, is_root=True))
    assert root.service.apps.put("foo", {"user": "nobody"}).details.app.user == "nobody"


def test_an_edit_says_who_restarts(house: World) -> None:
    house.service.apps.put("foo", {})
    for name in ("w1", "w2", "w3"):
        house.service.instances.put("foo", name, {}, 5)
    house.service.instances.put("foo", "w3", {"broker": "amqp://own//"}, 5)
    house.service.instances.disable("foo", "w2", 5)
    put = house.service.apps.put
    assert put("foo", {"broker": "amqp://new//"}).restarting == ("w1",)
    assert put("foo", {"extra_config": {"task_acks_late": True}}).restarting == ("w1", "w3")
    assert put("foo", {"stop_timeout_s": 9}).restarting == ()
    assert put("foo", {"broker": "amqp://new//"}).restarting == ()


def test_an_edit_is_seen_by_the_reconciler_once(house: World) -> None:
    house.service.apps.put("foo", {})
    house.service.instances.put("foo", "w1", {}, 5)
    before = house.service.instances.get("foo", "w1").instance.generation
    house.service.apps.put("foo", {"stop_timeout_s": 9})
    house.service.apps.put("foo", {"stop_timeout_s": 9})
    assert house.service.instances.get("foo", "w1").instance.generation == before + 1


def test_a_pool_its_instances_cannot_have(house: World) -> None:
    house.service.apps.put("foo", {})
    house.service.instances.put("foo", "w1", {"max_concurrency": 4}, 5)
    with pytest.raises(Invalid, match="instance w1: a threads worker"):
        house.service.apps.put("foo", {"pool": "threads"})
    assert house.service.apps.get("foo").app.pool is None


def test_two_creations_at_once(house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    apps = house.service.apps
    apps.put("foo", {"pool": "solo"})
    # As when the other's transaction ended between our look and ours.
    monkeypatch.setattr(apps, "_find", lambda name: None)
    assert not apps.put("foo", {"pool": "solo"}).is_new
    with pytest.raises(Conflict, match="same moment"):
        apps.put("foo", {"pool": "gevent"})
    assert apps.get("foo").app.pool == "solo"


def test_start_and_stop_reach_all(house: World) -> None:
    house.service.apps.put("foo", {})
    for name in ("w1", "w2"):
        house.service.instances.put("foo", name, {}, 5)
    assert house.service.apps.stop("foo", 5).is_converged
    states = [house.service.instances.get("foo", name).status for name in ("w1", "w2")]
    assert {status.state for status in states if status} == {ProcessState.STOPPED}
    assert house.service.apps.start("foo", 5).is_converged
    assert house.service.instances.get("foo", "w2").instance.is_enabled


def test_what_is_not_there(house: World) -> None:
    apps = house.service.apps
    for act in (
        lambda: apps.get("foo"),
        lambda: apps.delete("foo", False, 5),
        lambda: apps.start("foo", 5),
        lambda: apps.stop("foo", 5),
    ):
        with pytest.raises(NotFound):
            act()


def test_deleting_an_empty_app(house: World) -> None:
    house.service.apps.put("foo", {})
    assert house.service.apps.delete("foo", False, 5).is_converged
    assert house.service.apps.names() == []


def test_deleting_an_app_in_use_names_its_instances(house: World) -> None:
    house.service.apps.put("foo", {})
    house.service.instances.put("foo", "w1", {}, 5)
    with pytest.raises(Conflict, match="w1") as refused:
        house.service.apps.delete("foo", False, 5)
    assert "force=1" in refused.value.hint
    assert house.service.instances.names("foo") == ["w1"]


def test_deleting_an_app_by_force_waits_for_its_instances(house: World) -> None:
    house.service.apps.put("foo", {})
    house.service.instances.put("foo", "w1", {}, 5)
    assert house.service.apps.delete("foo", True, 5).is_converged
    assert house.service.apps.names() == []


def test_a_deletion_goes_on_after_the_answer(house: World) -> None:
    house.service.apps.put("foo", {})
    house.service.instances.put("foo", "w1", {}, 5)
    house.branch.takes_s = 2.0
    with pytest.raises(Timeout, match="w1 is not gone after 1 s"):
        house.service.apps.delete("foo", True, 1)
    for _ in range(2):
        house.clock.sleep(2)
    assert not _is_there(house, "foo")


def test_what_is_being_deleted_is_not_used_again(house: World) -> None:
    house.service.apps.put("foo", {})
    house.service.instances.put("foo", "w1", {}, 5)
    house.branch.is_dead = True
    assert not house.service.apps.delete("foo", True, None).is_converged
    assert house.service.apps.names() == []
    with pytest.raises(Conflict, match="being deleted"):
        house.service.apps.put("foo", {"pool": "solo"})
    with pytest.raises(Conflict, match="being deleted"):
        house.service.instances.put("foo", "w2", {}, None)
    house.branch.is_dead = False
    for _ in range(2):
        house.clock.sleep(1)
    assert not _is_there(house, "foo")
    assert house.service.apps.put("foo", {}).is_new


def test_the_default_broker_belongs_to_the_branch() -> None:
    other = world(here=ThisBranch("b1", "amqp://mq//", False, 5.0))
    other.service.apps.put("foo", {})
    assert other.service.apps.get("foo").broker.hostname == "mq"


def _is_there(house: World, name: str) -> bool:
    with house.store.reading() as view:
        try:
            view.app(name)
        except NotFound:
            return False
    return True
