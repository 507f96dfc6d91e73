"""Pauses and rolling restarts: what is stored, waited for, and refused."""

from __future__ import annotations

import pytest

from cyme_supd.domain.pause import PAUSED, Pause
from cyme_supd.domain.rollout import RolloutState, RolloutStatus
from cyme_supd.domain.status import Condition
from cyme_supd.errors import Conflict, NotFound, Timeout
from cyme_supd.service import Outcome
from cyme_supd.service.pauses import Place
from tests.unit.queue_support import add, declare, generation, start, with_an_app
from tests.unit.service_support import BROKER, START, World

APP, QUEUE, INSTANCE = Place("foo"), Place("foo", queue="tasks"), Place("foo", instance="w1")


@pytest.fixture
def house() -> World:
    house = with_an_app()
    declare(house)
    start(house)
    add(house)
    return house


def lets_go(house: World, status: bool = True) -> None:
    condition = Condition(PAUSED, status, "AppPaused", "", START)
    house.branch.override = {"conditions": (condition,), "consuming": False}


@pytest.mark.parametrize("place", [APP, QUEUE, INSTANCE])
def test_a_pause_waits_until_they_have_let_go(house: World, place: Place) -> None:
    lets_go(house)
    before = generation(house)
    assert house.service.pauses.pause(place, "deploy", 60.0, 5.0) == Outcome(True)
    assert generation(house) == before + 1
    house.branch.override = {}
    assert house.service.pauses.resume(place, 5.0) == Outcome(True)


def test_one_that_does_not_let_go(house: World) -> None:
    lets_go(house, False)
    with pytest.raises(Timeout, match="not paused"):
        house.service.pauses.pause(APP, None, None, 1.0)
    # It stays stored.
    assert house.service.apps.get("foo").app.pause is not None


def test_one_of_another_is_still_there(house: World) -> None:
    lets_go(house)
    house.service.pauses.pause(APP, "deploy", None, 5.0)
    house.service.pauses.pause(QUEUE, "", None, 5.0)
    left = house.service.pauses.resume(QUEUE, 5.0)
    assert left == Outcome(False, "app foo is paused: deploy")


def test_a_consumer_is_not_waited_for(house: World) -> None:
    declare(house, "other")
    lets_go(house)
    house.service.pauses.pause(INSTANCE, "lunch", None, 5.0)
    begun = house.clock.elapsed
    assert add(house, "other") == (Outcome(False, "instance w1 is paused: lunch"), True)
    assert house.clock.elapsed == begun


def test_what_is_over_is_not_shown(house: World) -> None:
    lets_go(house)
    house.service.pauses.pause(APP, None, 60.0, 5.0)
    assert isinstance(house.service.apps.get("foo").app.pause, Pause)
    house.clock.elapsed += 60
    assert house.service.apps.get("foo").app.pause is None


@pytest.mark.parametrize(
    "place", [Place("bar"), Place("foo", queue="none"), Place("foo", instance="none")]
)
def test_what_is_not_there(house: World, place: Place) -> None:
    with pytest.raises(NotFound):
        house.service.pauses.pause(place, None, None, 1.0)


def stored(house: World, state: RolloutState) -> None:
    wish = house.service.rollouts.get("foo").rollout
    assert wish is not None
    with house.store.writing() as tx:
        tx.save_rollout(RolloutStatus("foo", "b1", wish.number, wish.attempt, state, left=("w1",)))


def test_a_rolling_restart(house: World) -> None:
    rollouts = house.service.rollouts
    assert rollouts.get("foo").state is None
    begun = rollouts.start("foo", None)
    assert (begun.state, begun.left) == (RolloutState.RUNNING, ("w1",))
    with pytest.raises(Conflict, match="is running") as refused:
        rollouts.start("foo", None)
    assert "/foo/restart/abort/" in refused.value.hint
    stored(house, RolloutState.STOPPED)
    with pytest.raises(Conflict, match="is stopped"):
        rollouts.start("foo", None)
    resumed = rollouts.resume("foo")
    assert (resumed.state, resumed.rollout and resumed.rollout.attempt) == (
        RolloutState.RUNNING,
        2,
    )
    assert rollouts.abort("foo").state is RolloutState.ABORTED
    again = rollouts.start("foo", 3).rollout
    assert again is not None
    assert (again.number, again.max_unavailable) == (2, 3)


def test_one_with_nothing_to_do(house: World) -> None:
    house.service.apps.stop("foo", 5.0)
    assert house.service.rollouts.start("foo", None).state is RolloutState.DONE


@pytest.mark.parametrize("word", ["resume", "abort"])
def test_none_to_go_on_with(house: World, word: str) -> None:
    with pytest.raises(Conflict, match="never asked for") as refused:
        getattr(house.service.rollouts, word)("foo")
    assert refused.value.hint


@pytest.mark.parametrize(
    ("waiting", "expected", "is_near"),
    [(100, 100, True), (90, 100, True), (110, 100, True), (89, 100, False), (1, 0, False)],
)
def test_purging_as_many_as_expected(
    house: World, waiting: int, expected: int, is_near: bool
) -> None:
    house.broker_queues.holds(BROKER, "tasks", waiting)
    if is_near:
        assert house.service.queues.purge("foo", "tasks", expected) == waiting
    else:
        with pytest.raises(Conflict, match=f"has {waiting} messages"):
            house.service.queues.purge("foo", "tasks", expected)
        assert house.service.queues.purge("foo", "tasks") == waiting
