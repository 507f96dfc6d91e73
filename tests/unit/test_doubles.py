"""Names that two branches have an instance of: one of them runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyme_supd.branch.care import Attendant, Rule
from cyme_supd.domain.doubles import CONFLICT, from_wire, to_wire, told, why, yields_to
from cyme_supd.domain.spec import App, Instance
from cyme_supd.domain.status import Condition, ProcessState, Status
from cyme_supd.errors import Conflict, Unavailable
from cyme_supd.service.doubles import AGAIN_S, EVERY_S, MOST, NAMES, SOON_S, Doubles
from cyme_supd.testing.clock import FakeClock
from cyme_supd.testing.mailbox import MemoryBranch, MemoryFleet
from cyme_supd.testing.store import MemoryStore
from tests.unit.played_host import Host
from tests.unit.service_support import world
from tests.unit.values import AT, BROKER, INTERVAL_S, RECONNECT_S, a_heartbeat

LATER = AT + timedelta(seconds=1)

# The rule


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2), min_size=1))
def test_of_all_that_have_a_name_one_runs_it(created: dict[str, int]) -> None:
    born = {branch: {"w1": AT + timedelta(seconds=at)} for branch, at in created.items()}
    found = {
        here: yields_to("w1", born[here]["w1"], here, {id: born[id] for id in born.keys() - {here}})
        for here in born
    }
    runs = [here for here, branch in found.items() if branch is None]
    assert runs == [min(created, key=lambda branch: (created[branch], branch))]
    assert {branch for branch in found.values() if branch is not None} <= set(runs)


def test_what_was_said_of_one_is_understood() -> None:
    said = Condition(CONFLICT, True, "OlderElsewhere", why("b.1-x"), AT)
    assert told([said]) == "b.1-x"
    assert told([replace(said, type="Ready")]) is None
    assert told([replace(said, message="something else")]) is None


def test_what_others_say_of_themselves_is_read_with_care() -> None:
    born = {"w1": AT, "w2": LATER + timedelta(microseconds=1)}
    assert from_wire(to_wire(born)) == born
    assert from_wire(["w1"]) == {}
    assert from_wire({"w1": "yesterday", "w2": 7, "w3": "2011-08-15T22:06:43"}) == {}


# Finding out


class Place:
    """A branch that compares its names with those of the others."""

    def __init__(self, id: str, fleet: MemoryFleet, clock: FakeClock) -> None:
        self.id = id
        self.fleet = fleet
        self.clock = clock
        self.store = MemoryStore(BROKER)
        self.asked = 0
        with self.store.writing() as tx:
            tx.add_app(App("foo", AT))
        self.peer: MemoryBranch = fleet.join(a_heartbeat(id), {})
        self.begin()

    def begin(self) -> None:
        """Its process starts, or starts again."""
        self.doubles = Doubles(self.fleet, self.store, self.clock, self.id)
        self.doubles.restore()
        self.peer.handlers[NAMES] = self.answer
        started_at = self.clock.now()
        self.peer.heartbeat = replace(self.peer.heartbeat, started_at=started_at)

    def answer(self, arguments: object, left_s: float) -> object:
        self.asked += 1
        return self.doubles.answer(arguments, left_s)  # type: ignore[arg-type]

    def make(self, name: str, at: datetime) -> None:
        with self.store.writing() as tx:
            tx.add_instance(Instance(name, "foo", self.id, at))

    def remove(self, name: str) -> None:
        with self.store.writing() as tx:
            tx.remove_instance(name)

    def look(self) -> list[str]:
        return sorted(self.doubles.look(self.fleet.peers()))

    def holder(self, name: str = "w1") -> str | None:
        with self.store.reading() as view:
            return self.doubles.yields_to(view.instance(name))

    def say(self, name: str = "w1") -> None:
        """Its reconciler stores what was found."""
        conditions: tuple[Condition, ...] = ()
        if (branch := self.holder(name)) is not None:
            conditions = (Condition(CONFLICT, True, "OlderElsewhere", why(branch), AT),)
        with self.store.writing() as tx:
            tx.save_statuses([Status(name, 1, conditions=conditions)])


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def fleet(clock: FakeClock) -> MemoryFleet:
    return MemoryFleet(clock)


@pytest.fixture
def places(fleet: MemoryFleet, clock: FakeClock) -> tuple[Place, Place]:
    """Two that were apart: ``w1`` is on both, ``w2`` and ``w3`` on one each."""
    one, two = Place("b1", fleet, clock), Place("b2", fleet, clock)
    one.make("w1", LATER)
    two.make("w1", AT)
    one.make("w2", AT)
    two.make("w3", AT)
    return one, two


def test_who_was_not_heard_before_is_asked_at_once(places: tuple[Place, Place]) -> None:
    one, two = places
    assert (one.look(), two.look()) == (["w1"], [])
    assert (one.holder(), two.holder(), one.holder("w2")) == ("b2", None, None)
    assert one.look() == []


def test_it_is_let_go_when_the_other_is_gone(places: tuple[Place, Place]) -> None:
    one, two = places
    one.look()
    two.remove("w1")
    one.clock.advance(SOON_S)
    assert one.look() == ["w1"]
    assert one.holder() is None


def test_silence_changes_nothing(places: tuple[Place, Place]) -> None:
    one, two = places
    one.look()
    for _ in range(3):
        one.clock.advance(SOON_S)
        one.fleet.is_down = True
        with pytest.raises(Unavailable):
            one.look()
        one.fleet.is_down = False
        two.peer.is_mute = True
        assert one.look() == []
        two.peer.is_mute = False
    two.peer.kill()
    one.clock.advance(3600)
    assert one.look() == []
    assert one.holder() == "b2"


def test_a_branch_that_starts_again_has_not_forgotten(places: tuple[Place, Place]) -> None:
    one, two = places
    one.look()
    one.say()
    two.peer.is_mute = True
    one.begin()
    assert one.holder() == "b2"
    one.look()
    assert one.holder() == "b2"
    two.peer.is_mute = False
    two.remove("w1")
    one.clock.advance(AGAIN_S)
    assert one.look() == ["w1"]
    assert one.holder() is None


def test_another_of_the_name_is_another(places: tuple[Place, Place]) -> None:
    one, two = places
    one.look()
    two.peer.kill()
    one.remove("w1")
    one.make("w1", LATER + timedelta(days=1))
    assert one.holder() is None


def test_who_comes_back_is_asked_again_at_once(places: tuple[Place, Place]) -> None:
    one, two = places
    two.remove("w1")
    one.look()
    two.peer.is_alive = False
    one.clock.advance(60)
    one.look()
    two.make("w1", AT)
    two.peer.is_alive = True
    assert one.look() == ["w1"]


def test_a_process_that_was_started_again_is_asked_at_once(places: tuple[Place, Place]) -> None:
    one, two = places
    two.remove("w1")
    one.look()
    one.clock.advance(1)
    two.make("w1", AT)
    assert one.look() == []
    two.begin()
    assert one.look() == ["w1"]


def test_all_others_are_asked_every_minute(places: tuple[Place, Place]) -> None:
    one, two = places
    two.remove("w1")
    for _ in range(30):
        one.look()
        one.clock.advance(EVERY_S / 10)
    assert two.asked == 3


def test_of_many_some_are_asked_at_a_time(fleet: MemoryFleet, clock: FakeClock) -> None:
    one, *others = [Place(f"b{number:02}", fleet, clock) for number in range(2 * MOST + 1)]
    one.make("w1", AT)
    counts = []
    for _ in range(3):
        one.look()
        counts.append(sum(each.asked for each in others))
    assert counts == [MOST, 2 * MOST, 2 * MOST]
    clock.advance(EVERY_S)
    one.look()
    assert {each.asked for each in others} == {1}
    clock.advance(EVERY_S)
    for _ in range(2):
        one.look()
    assert {each.asked for each in others} == {2}


def test_one_that_knows_nothing_of_it_is_asked_later(places: tuple[Place, Place]) -> None:
    one, two = places
    del two.peer.handlers[NAMES]
    assert one.look() == []
    two.peer.handlers[NAMES] = two.answer
    assert one.look() == []
    one.clock.advance(AGAIN_S)
    assert one.look() == ["w1"]


# What comes of it


class Yielding(Host):
    """Its ``w1`` yields to ``to``."""

    to: str | None = None

    def begin_again(self) -> None:
        rule = Rule(INTERVAL_S, RECONNECT_S)
        self.reconciler = self.another(Attendant(self.clock, rule, yields_to=lambda _: self.to))

    def conditions(self) -> dict[str, str]:
        return {each.type: each.reason for each in self.status().conditions}


def test_it_is_held_and_let_go() -> None:
    host = Yielding()
    host.create()
    host.hint()
    host.comes_up()
    host.to = "b2"
    host.look()
    assert host.state() is ProcessState.STOPPING
    host.programs.end("w1")
    host.look()
    assert host.status().ready is False
    assert host.conditions() == {"Ready": CONFLICT, CONFLICT: "OlderElsewhere"}
    host.begin_again()
    host.reconciler.full_pass()
    assert host.state() is ProcessState.STOPPED

    host.to = None
    host.look()
    host.comes_up()
    assert host.status().ready is True
    assert CONFLICT not in host.conditions()


def test_one_that_is_held_is_deleted_and_disabled_as_any() -> None:
    host = Yielding()
    host.to = "b2"
    host.create()
    host.hint()
    assert host.programs.processes()["w1"].state is ProcessState.STOPPED
    host.edit(is_enabled=False)
    host.hint()
    assert host.conditions() == {"Ready": "Disabled", CONFLICT: "OlderElsewhere"}
    host.edit(is_deleting=True)
    host.hint()
    assert host.programs.processes() == {}


def test_nobody_waits_for_one_that_is_held() -> None:
    house = world()
    with house.store.writing() as tx:
        tx.add_app(App("foo", AT))
        tx.add_instance(Instance("w1", "foo", "b1", AT))
    said = Condition(CONFLICT, True, "OlderElsewhere", why("b2"), AT)
    house.branch.override = {"ready": False, "conditions": (said,)}
    house.clock.sleep(1)
    with pytest.raises(Conflict, match="branch 'b2' has an older instance"):
        house.service.instances.enable("foo", "w1", 5)
