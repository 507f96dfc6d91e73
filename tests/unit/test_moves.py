"""A branch that drains moves its instances to others, whoever dies meanwhile."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import replace
from random import Random

import pytest

from cyme_supd.branch.exchange import keep_moving
from cyme_supd.domain.moving import Step
from cyme_supd.domain.spec import App, Instance
from cyme_supd.errors import Conflict
from tests.unit.moving_support import DEAD, WHOLE, Yard
from tests.unit.values import AT

STORES = pytest.mark.parametrize("is_shared", [False, True], ids=["each", "shared"])
W2 = Instance("w2", "foo", "b1", AT)


def settings(instance: Instance | None) -> Instance:
    """What is to be the same wherever it is."""
    assert instance is not None
    return replace(instance, branch="", generation=1)


@STORES
def test_all_it_has_goes_elsewhere_one_by_one(is_shared: bool) -> None:
    yard = Yard(is_shared, WHOLE, W2, replace(W2, name="w3", is_enabled=False))
    one, two = yard.places.values()
    assert (one.is_ready("w1"), one.is_ready("w2")) == (True, True)
    yard.drain()
    assert one.moving() == {"left": 3, "now": None, "to": None, "failed": {}, "reason": None}
    both_away = []
    while one.moving()["left"]:
        yard.turn()
        both_away.append(not any(place.runs(name) for name in ("w1", "w2") for place in (one, two)))
    assert not any(both_away)
    yard.until(lambda: two.is_ready("w1") and two.is_ready("w2"))
    assert settings(two.has("w1")) == settings(WHOLE)
    moved = two.has("w3")
    assert moved is not None
    assert moved.is_enabled is False
    assert not two.runs("w3")
    yard.until(lambda: one.moving()["now"] is None)
    assert one.moving() == {"left": 0, "now": None, "to": None, "failed": {}, "reason": None}
    assert one.programs.processes() == {}


@STORES
@pytest.mark.parametrize("victim", ["b1", "b2"])
def test_whoever_dies_at_whatever_moment(is_shared: bool, victim: str) -> None:
    """Before or after everything that it stores, asks and is answered."""
    for blow in range(200):
        yard = Yard(is_shared, WHOLE, W2)
        yard.drain()
        dying = yard.places[victim]
        dying.blows.left = blow
        two = yard.places["b2"]
        yard.until(lambda two=two: two.is_ready("w1") and two.is_ready("w2"))
        assert settings(two.has("w1")) == settings(WHOLE)
        assert yard.first.has("w1") is None
        if dying.blows.left is not None:
            # It had nothing left to do that it could die of.
            assert blow > 5
            return
    pytest.fail("it never comes to an end")


@STORES
@pytest.mark.parametrize("seed", range(20))
def test_all_die_again_and_again(is_shared: bool, seed: int) -> None:
    chance = Random(seed)
    yard = Yard(is_shared, WHOLE, W2, branches=3)
    yard.drain()
    for _ in range(60):
        for place in yard.places.values():
            if place.blows.left is None:
                place.blows.left = chance.randrange(40)
        yard.turn()
    for place in yard.places.values():
        place.blows.left = None
    others = [place for id, place in yard.places.items() if id != "b1"]
    yard.until(lambda: all(any(at.is_ready(name) for at in others) for name in ("w1", "w2")))
    (at,) = [place for place in yard.places.values() if place.has("w1") is not None]
    assert settings(at.has("w1")) == settings(WHOLE)


@STORES
def test_undrained_it_finishes_what_it_has_begun(is_shared: bool) -> None:
    yard = Yard(is_shared, WHOLE, W2)
    one, two = yard.places.values()
    yard.drain()
    yard.until(lambda: one.moving()["now"] == "w1")
    yard.undrain()
    yard.until(lambda: one.service.branches.get("b1").moving is None)
    assert two.is_ready("w1")
    for _ in range(5):
        yard.turn()
    assert one.is_ready("w2")


@STORES
def test_with_nobody_to_take_them_all_stay_and_it_says_so(is_shared: bool) -> None:
    yard = Yard(is_shared, WHOLE)
    one, two = yard.places.values()
    yard.drain()
    yard.drain("b2", has_to_move=False)
    for _ in range(5):
        yard.turn()
        assert one.is_ready("w1")
    assert "no branch takes new instances: b2 is draining" in one.moving()["reason"]
    yard.undrain("b2")
    yard.until(lambda: two.is_ready("w1"))


def test_alone_it_keeps_them() -> None:
    yard = Yard(False, WHOLE, branches=1)
    yard.drain()
    for _ in range(5):
        yard.turn()
    assert yard.first.is_ready("w1")
    assert "no branch takes new instances" in yard.first.moving()["reason"]


@STORES
def test_the_next_waits_for_one_that_does_not_get_up(is_shared: bool) -> None:
    yard = Yard(is_shared, WHOLE, W2)
    one, two = yard.places.values()
    two.is_able = False
    yard.drain()
    for _ in range(30):
        yard.turn()
    assert (two.has("w1") is not None, one.is_ready("w2")) == (True, True)
    assert "not ready on branch b2 yet" in one.moving()["reason"]
    # Asked once more it waits for nobody.
    yard.drain()
    yard.until(lambda: two.has("w2") is not None)


@STORES
def test_one_that_was_not_ready_anyway_keeps_no_other(is_shared: bool) -> None:
    yard = Yard(is_shared)
    one, two = yard.places.values()
    one.is_able = two.is_able = False
    with one.memory.writing() as tx:
        tx.add_instance(WHOLE)
        tx.add_instance(W2)
    yard.drain()
    yard.until(lambda: two.has("w1") is not None and two.has("w2") is not None)


@STORES
def test_a_target_that_goes_before_it_has_it_is_replaced(is_shared: bool) -> None:
    yard = Yard(is_shared, WHOLE, branches=3)
    one = yard.first
    one.is_quick = False
    yard.drain()
    yard.until(lambda: one.moving()["now"] is not None)
    first = one.moving()["to"]
    yard.places[first].peer.kill()
    (other,) = {"b2", "b3"} - {first}
    yard.until(lambda: one.moving()["to"] == other)
    one.is_quick = True
    yard.until(lambda: yard.places[other].is_ready("w1"))
    assert settings(yard.places[other].has("w1")) == settings(WHOLE)


@STORES
def test_a_target_that_goes_and_is_the_last_leaves_it_where_it_was(is_shared: bool) -> None:
    yard = Yard(is_shared, WHOLE)
    one, two = yard.places.values()
    one.is_quick = False
    yard.drain()
    yard.until(lambda: one.moving()["now"] is not None)
    two.peer.kill()
    yard.until(lambda: "b2 is not there" in (one.moving()["reason"] or ""))
    assert one.moving()["now"] is None
    one.is_quick = True
    yard.until(lambda: one.is_ready("w1"))
    two.peer.is_alive = True
    yard.until(lambda: two.is_ready("w1"))


def test_one_that_may_be_there_is_not_given_to_another() -> None:
    """The target has taken it, and its answer was lost with it."""
    yard = Yard(False, WHOLE, branches=3)
    one = yard.first
    yard.drain()
    yard.until(lambda: is_at(yard, Step.HANDING))
    target = yard.places[one.moving()["to"]]
    answer = target.service.arrivals.answer

    def answers_and_dies(*said: object) -> object:
        answer(*said)  # type: ignore[arg-type]
        target.peer.kill()
        target.peer.is_mute = True
        return DEAD

    target.peer.handlers["move"] = answers_and_dies
    for _ in range(30):
        yard.turn()
    assert is_at(yard, Step.HANDING)
    assert not one.runs("w1")
    assert one.moving()["reason"]
    with pytest.raises(Conflict, match="handed over"):
        one.service.instances.disable("foo", "w1", None)
    target.peer.is_mute, target.peer.is_alive = False, True
    target.peer.handlers["move"] = answer
    yard.until(lambda: target.is_ready("w1") and one.has("w1") is None)


def test_an_answer_that_means_nothing_is_none() -> None:
    yard = Yard(False, WHOLE)
    one, two = yard.places.values()
    yard.drain()
    yard.until(lambda: is_at(yard, Step.HANDING))
    answer = two.peer.handlers["move"]
    two.peer.handlers["move"] = lambda *_: {"is": "well"}
    for _ in range(3):
        yard.turn()
    assert is_at(yard, Step.HANDING)
    assert "does not say" in one.moving()["reason"]
    two.peer.handlers["move"] = answer
    yard.until(lambda: two.is_ready("w1"))


def is_at(yard: Yard, step: Step) -> bool:
    found = yard.first.has("w1")
    return found is not None and found.move is not None and found.move.step is step


def test_what_was_taken_once_does_not_come_again() -> None:
    yard = Yard(False, WHOLE)
    two = yard.places["b2"]
    yard.drain()
    yard.until(lambda: is_at(yard, Step.HANDING))
    kept = []
    answer = two.service.arrivals.answer
    two.peer.handlers["move"] = lambda *said: kept.append(said) or answer(*said)  # type: ignore[func-returns-value]
    yard.until(lambda: two.is_ready("w1"))
    (take,) = [said for said in kept if said[0]["step"] == "take"]
    with two.memory.writing() as tx:
        tx.remove_instance("w1")
    assert answer(*take)["is_taken"] is True
    assert two.has("w1") is None


def test_what_was_refused_once_is_never_taken() -> None:
    yard = Yard(False, WHOLE)
    two = yard.places["b2"]
    said = {"name": "w1", "app": "foo"}
    assert two.service.arrivals.take("00ff", said)["is_taken"] is False
    again = two.service.arrivals.take("00ff", {"is": "whatever"})
    assert again == {"is_taken": False, "reason": "as before"}


def test_one_that_nobody_can_have_stays_and_the_others_go() -> None:
    yard = Yard(False, WHOLE, W2)
    one, two = yard.places.values()
    with two.memory.writing() as tx:
        tx.add_app(bar(yard))
        tx.add_instance(replace(WHOLE, app="bar", branch="b2", queues=(), is_enabled=False))
    yard.drain()
    yard.until(lambda: two.is_ready("w2"))
    assert one.is_ready("w1") or one.runs("w1")
    assert "already" in one.moving()["failed"]["w1"]


@pytest.mark.parametrize("is_forced", [False, True])
def test_what_may_be_elsewhere_is_deleted_by_force_alone(is_forced: bool) -> None:
    yard = Yard(False, WHOLE)
    one, two = yard.places.values()
    yard.drain()
    yard.until(lambda: is_at(yard, Step.HANDING))
    two.peer.is_mute = True
    yard.turn()
    with nullcontext() if is_forced else pytest.raises(Conflict, match="in a moment"):
        one.service.instances.delete("foo", "w1", is_forced, timeout_s=None)
    one.turn()
    one.turn()
    assert (one.has("w1") is None) is is_forced
    assert (one.moving()["now"] is None) is is_forced


@STORES
def test_a_target_that_drains_and_has_not_said_so(is_shared: bool) -> None:
    yard = Yard(is_shared, WHOLE)
    one, two = yard.places.values()
    two.service.branches.drain("b2", True)
    yard.drain()
    for _ in range(5):
        yard.turn()
        assert one.is_ready("w1")
    assert "draining" in one.moving()["failed"]["w1"]
    two.service.branches.drain("b2", False)
    yard.until(lambda: two.is_ready("w1"))
    assert one.moving()["failed"] == {}


def bar(yard: Yard) -> App:
    with yard.first.memory.reading() as view:
        return replace(view.app("foo"), name="bar")


@STORES
def test_one_that_is_deleted_on_its_way_is_gone(is_shared: bool) -> None:
    yard = Yard(is_shared, WHOLE, W2)
    one, two = yard.places.values()
    yard.drain()
    yard.until(lambda: one.moving()["now"] == "w1")
    one.service.instances.delete("foo", "w1", is_forced=False, timeout_s=None)
    with pytest.raises(AssertionError):
        # It is lost, as was asked for.
        yard.until(lambda: False, 20)
    yard.until(lambda: two.is_ready("w2"))
    assert (one.has("w1"), two.has("w1")) == (None, None)


def test_while_one_moves_the_next_look_comes_soon() -> None:
    stop, looks = threading.Event(), list[int]()

    def look() -> bool:
        looks.append(len(looks))
        if len(looks) == 3:
            stop.set()
        return len(looks) < 3

    keep_moving(look, stop, lambda: None, every_s=3600)
    assert looks == [0, 1, 2]
