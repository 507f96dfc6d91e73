"""What is said when what was asked for does not come, and what is asked of workers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cyme_supd.domain.status import ProcessState
from cyme_supd.errors import (
    Conflict,
    NotFound,
    SpawnFailed,
    Timeout,
    Unavailable,
)
from cyme_supd.service import Outcome
from tests.support import eventually
from tests.unit.service_support import (
    HERE,
    KEY,
    World,
    later,
    put,
    world,
)

# When it does not come


def test_a_worker_that_will_not_start(house: World) -> None:
    house.branch.override = {"state": ProcessState.BACKOFF, "ready": False, "pid": None}
    house.logs.content = b"\n".join(b"line %d" % n for n in range(100)) + b"\nImportError: proj\n"
    with pytest.raises(SpawnFailed, match="BACKOFF") as failed:
        put(house)
    assert failed.value.message.endswith("ImportError: proj")
    assert "line 50" not in failed.value.message
    assert house.clock.elapsed < 1
    assert house.service.instances.names("foo") == ["w1"]


def test_a_state_that_the_edit_ends_is_no_failure(house: World) -> None:
    house.branch.override = {"state": ProcessState.FATAL, "ready": False, "pid": None}
    with pytest.raises(SpawnFailed):
        put(house)
    later(house, house.branch.override.clear, house.clock.elapsed + 0.25)
    assert house.service.instances.restart("foo", "w1", 5).is_converged


def test_it_is_deleted_while_one_waits(house: World) -> None:
    house.branch.takes_s = 2
    delete = house.service.instances.delete
    later(house, lambda: delete("foo", "w1", False, None), 0.5)
    with pytest.raises(Conflict, match="deleted meanwhile"):
        put(house)


@pytest.mark.parametrize(
    ("health", "reason"),
    [
        ({"supervisord": {"ok": False, "reason": "refused"}}, "supervisord is down: refused"),
        ({"brokers": {KEY: {"ok": False, "url": "redis://h"}}}, "broker redis://h is down"),
    ],
)
def test_known_to_be_down(house: World, health: dict[str, Any], reason: str) -> None:
    house.branch.health = health
    house.branch.run()
    house.branch.is_dead = True
    reply = put(house)
    assert reply.outcome == Outcome(False, reason)
    assert reply.is_new
    assert house.clock.elapsed < 1


def test_another_broker_being_down_does_not_matter(house: World) -> None:
    house.branch.health = {"brokers": {"other": {"ok": False}, KEY: {"ok": None}}}
    house.branch.run()
    assert put(house).outcome.is_converged


def test_it_goes_down_while_one_waits(house: World) -> None:
    house.branch.takes_s = 60
    later(house, lambda: house.branch.health.update(supervisord={"ok": False}), 1.0)
    reply = put(house)
    assert reply.outcome == Outcome(False, "supervisord is down")
    assert house.clock.elapsed < 2


def test_a_branch_that_makes_no_pass(house: World) -> None:
    house.branch.is_dead = True
    house.clock.elapsed = 3 * HERE.sup_interval - 2
    reply = house.service.instances.put("foo", "w1", {}, 30)
    assert "no pass" in reply.outcome.reason
    assert house.clock.elapsed < 3 * HERE.sup_interval + 1


def test_a_branch_that_never_was() -> None:
    # Another is there.
    other = world()
    other.service = other.over(other.store, replace(HERE, id="b3"))
    other.service.apps.put("foo", {})
    # It may be about to start, as its web has just done.
    with pytest.raises(Timeout, match="not looked at yet"):
        other.service.instances.put("foo", "w1", {}, 5)
    other.clock.elapsed += 3 * HERE.sup_interval
    reply = other.service.instances.put("foo", "w2", {}, 5)
    assert reply.outcome == Outcome(False, "the branch has not started")


def test_stale_observations_read_as_not_known(house: World) -> None:
    put(house)
    house.clock.elapsed += 3 * HERE.sup_interval + 1
    found = house.service.instances.get("foo", "w1")
    status = found.status
    assert status is not None
    assert (status.state, status.pid, status.ready, status.consuming) == (None,) * 4
    assert found.observed_at is not None
    assert found.observed_at < house.clock.now() - timedelta(seconds=15)


def test_a_store_that_is_locked(house: World) -> None:
    put(house)
    house.store.failure = Unavailable("locked")
    with pytest.raises(Unavailable, match="locked"):
        house.service.instances.get("foo", "w1")
    with pytest.raises(Unavailable, match="locked"):
        put(house)


# How many may wait


def test_waits_beyond_the_limit_are_answered_at_once() -> None:
    house = world(max_waits=1)
    house.service.apps.put("foo", {})
    house.branch.takes_s = 1
    replies = []
    later(house, lambda: replies.append(put(house, "w2")), 0.5)
    assert put(house).outcome.is_converged
    assert not replies[0].outcome.is_converged
    assert "too many" in replies[0].outcome.reason
    assert put(house, "w3").outcome.is_converged


def test_stopping_ends_a_wait(house: World) -> None:
    house.branch.takes_s = 60
    later(house, house.service.stop, 0.5)
    with pytest.raises(Unavailable, match="stopping"):
        put(house)
    assert house.clock.elapsed < 1
    assert house.service.instances.names("foo") == ["w1"]


# Asking


def test_stats(house: World) -> None:
    put(house)
    with pytest.raises(Unavailable, match="did not answer"):
        house.service.instances.stats("foo", "w1")
    house.questions.answer = {"pid": 1000, "total": {}}
    assert house.service.instances.stats("foo", "w1").stats["pid"] == 1000
    house.service.instances.disable("foo", "w1", 5)
    with pytest.raises(Unavailable, match="disabled"):
        house.service.instances.stats("foo", "w1")


def test_stats_while_the_broker_is_down(house: World) -> None:
    put(house)
    house.questions.answer = {"pid": 1}
    house.branch.health = {"brokers": {KEY: {"ok": False, "url": "redis://h"}}}
    house.branch.run()
    with pytest.raises(Unavailable, match="broker redis://h is down"):
        house.service.instances.stats("foo", "w1")


def test_the_end_of_a_log(house: World) -> None:
    put(house)
    assert house.service.instances.log("foo", "w1", 4) == b"two\n"
    with pytest.raises(NotFound):
        house.service.instances.log("foo", "w2", 4)


def test_branches_and_health(house: World) -> None:
    put(house)
    found = house.service.branches.get("b1")
    assert (found.is_live, found.instances) == (True, 1)
    assert house.service.branches.names() == ["b1"]
    assert house.service.health.check().is_ok
    for health in (
        {"supervisord": {"ok": False}},
        {"brokers": {KEY: {"ok": False}}},
        {"threads": {"reconciler": 61.0}},
    ):
        house.branch.health = health
        house.branch.run()
        assert not house.service.health.check().is_ok
    house.branch.health = {"brokers": {"other": {"ok": False}}}
    house.branch.run()
    assert house.service.health.check().is_ok
    house.clock.elapsed += 16
    assert not house.service.health.check().is_ok
    house.store.failure = Unavailable("locked")
    assert house.service.health.check().parts["store"] == {"ok": False, "reason": "locked"}
    house.store.failure = None
    eventually(lambda: house.service.branches.names() == ["b1"])


def test_one_that_has_no_lease_is_not_well(house: World) -> None:
    """What is stored of the branch is said by who has it, and that one is well."""

    def lease() -> dict[str, Any]:
        health = check()
        assert health.is_ok is health.parts["lease"]["ok"]
        return dict(health.parts["lease"])

    def take(holder: str) -> None:
        with house.store.recording() as tx:
            assert tx.take_lease("b1", holder, house.clock.now(), 15.0) == holder

    assert "lease" not in house.service.health.check().parts
    check = house.over(house.store, replace(HERE, is_shared=True, holder="here")).health.check
    assert lease()["reason"] == "nobody acts for branch 'b1' at the moment"
    take("here")
    assert lease() == {"ok": True}
    house.clock.sleep(15.0)
    assert not lease()["ok"]
    take("elsewhere")
    assert "held back: elsewhere acts for branch 'b1'" in lease()["reason"]
    house.clock.sleep(15.0)
    take("here")
    assert lease()["ok"]
