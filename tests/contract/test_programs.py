"""One suite for the programs of a supervisord, and for the fake of them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from cyme_supd.domain.ports import Programs
from cyme_supd.domain.status import Process, ProcessState
from cyme_supd.errors import Conflict, Invalid, NotFound, ShuttingDown, Unavailable
from cyme_supd.testing.programs import FakePrograms
from tests.simulation.live import LiveWorld
from tests.support import eventually
from tests.tree import SLEEP, StockTree, SupervisedTree, lingering

FOREIGN = "\n[program:theirs]\ncommand=/bin/sleep 1000\n"


class World(Protocol):
    """What programs live in, and what happens to them there."""

    programs: Any

    def prepare(self, name: str, is_stubborn: bool = False) -> None:
        """Have a launch file for the program."""

    def is_ready(self, name: str) -> bool:
        """Whether its process has got beyond the launcher."""

    def lose_process(self, name: str) -> None:
        """Its process dies and is replaced."""

    def begin_stop(self) -> None:
        """supervisord begins to stop, and does not get to its end."""

    def end(self) -> None:
        """supervisord is gone."""

    def begin_again(self) -> None:
        """Another one is there."""


class FakeWorld:
    def __init__(self) -> None:
        self.programs = FakePrograms()
        self.programs.add_foreign("theirs")

    def prepare(self, name: str, is_stubborn: bool = False) -> None:
        self.programs.is_obedient = not is_stubborn

    def is_ready(self, name: str) -> bool:
        return True

    def lose_process(self, name: str) -> None:
        self.programs.respawn(name)

    def begin_stop(self) -> None:
        self.programs.lose(ShuttingDown("supervisord is stopping"))

    def end(self) -> None:
        self.programs.lose()

    def begin_again(self) -> None:
        self.programs.find()
        self.programs.forget_all()


class RealWorld:
    def __init__(self, root: Path) -> None:
        self.tree = self.a_tree(root).start()
        self.programs = self.tree.programs

    def a_tree(self, root: Path) -> SupervisedTree:
        return SupervisedTree(root, extra=FOREIGN)

    def prepare(self, name: str, is_stubborn: bool = False) -> None:
        self.tree.launch(name, lingering(1000) if is_stubborn else SLEEP)

    def is_ready(self, name: str) -> bool:
        return (self.tree.paths.instances / name / "ready").exists()

    def lose_process(self, name: str) -> None:
        os.kill(self.programs.processes()[name].pid or 0, signal.SIGKILL)

    def begin_stop(self) -> None:
        self.tree.signal(signal.SIGTERM)

    def end(self) -> None:
        self.tree.end()

    def begin_again(self) -> None:
        self.tree.start()


class StockWorld(RealWorld):
    """A supervisord that has no extension."""

    def a_tree(self, root: Path) -> SupervisedTree:
        return StockTree(root, extra=FOREIGN)


class Listener:
    """The thread that a branch would have, and what it was told."""

    def __init__(self, programs: Any) -> None:
        self.told: list[set[str]] = []
        self.beats = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=programs.listen, args=(self._stop, self.told.append, self._beat)
        )

    def _beat(self) -> None:
        self.beats += 1

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()


def a_world(kind: str, tmp_path: Path) -> World:
    if kind == "real":
        return RealWorld(tmp_path / "r")
    if kind == "stock":
        return StockWorld(tmp_path / "s")
    return FakeWorld() if kind == "fake" else LiveWorld()


@pytest.fixture(params=["fake", "simulated", "real", "stock"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    made = a_world(request.param, tmp_path)
    yield made
    made.end()


@pytest.fixture
def listener(world: World) -> Iterator[Listener]:
    listener = Listener(world.programs)
    listener.start()
    eventually(lambda: world.programs.is_reachable)
    yield listener
    listener.end()


@pytest.fixture
def programs(world: World, listener: Listener) -> Programs:
    checked: Programs = world.programs
    return checked


def seen(programs: Programs, name: str, *states: ProcessState) -> Process:
    """The program once it is seen in one of *states*."""

    def check() -> Process:
        process = programs.processes().get(name)
        assert process is not None
        assert process.state in states
        return process

    return eventually(check)


def started(world: World, name: str, is_stubborn: bool = False) -> Process:
    world.prepare(name, is_stubborn)
    world.programs.apply(name, 600)
    world.programs.start([name])
    return seen(world.programs, name, ProcessState.STARTING)


def test_applied_is_there_and_stopped(world: World, programs: Programs) -> None:
    world.prepare("w1")
    programs.apply("w1", 7)
    process = seen(programs, "w1", ProcessState.STOPPED)
    assert (process.pid, process.started_at) == (None, None)
    assert programs.stop_timeout_s("w1") == 7
    assert world.programs.sections() == {"w1"}


def test_of_what_is_not_there_nothing_is_known(programs: Programs) -> None:
    assert "w1" not in programs.processes()
    assert programs.stop_timeout_s("w1") is None


def test_of_those_that_are_named(world: World, programs: Programs) -> None:
    for name in ("w1", "w2"):
        world.prepare(name)
        programs.apply(name, 7)
    seen(programs, "w1", ProcessState.STOPPED)
    seen(programs, "w2", ProcessState.STOPPED)
    assert programs.processes({"w2", "w3"}) == {"w2": programs.processes()["w2"]}
    assert programs.processes(()) == {}


def test_applied_again_keeps_its_process(world: World, programs: Programs) -> None:
    before = started(world, "w1")
    programs.apply("w1", 7)
    programs.apply("w1", 8)
    assert seen(programs, "w1", ProcessState.STARTING).pid == before.pid
    eventually(lambda: programs.stop_timeout_s("w1") == 8)


def test_started_has_a_process(world: World, programs: Programs) -> None:
    process = started(world, "w1")
    assert process.pid
    assert process.started_at
    programs.start(["w1"])
    assert seen(programs, "w1", ProcessState.STARTING).pid == process.pid


def test_stopped_has_none(world: World, programs: Programs) -> None:
    started(world, "w1")
    programs.stop(["w1"])
    process = seen(programs, "w1", ProcessState.STOPPED)
    assert process.pid is None
    assert process.stopped_at
    programs.stop(["w1"])
    assert seen(programs, "w1", ProcessState.STOPPED) == process


def test_one_that_takes_its_time_can_be_killed(world: World, programs: Programs) -> None:
    before = started(world, "w1", is_stubborn=True)
    eventually(lambda: world.is_ready("w1"))
    programs.stop(["w1"])
    assert seen(programs, "w1", ProcessState.STOPPING).pid == before.pid
    programs.kill(["w1"])
    assert seen(programs, "w1", ProcessState.STOPPED).pid is None


def test_killed_without_being_asked_first(world: World, programs: Programs) -> None:
    started(world, "w1")
    programs.kill(["w1"])
    seen(programs, "w1", ProcessState.STOPPED)
    programs.kill(["w1"])


def test_one_that_dies_is_replaced(world: World, programs: Programs) -> None:
    before = started(world, "w1")
    world.lose_process("w1")

    def is_replaced() -> bool:
        process = programs.processes()["w1"]
        return process.state.is_up and process.pid not in (None, before.pid)

    eventually(is_replaced)


def test_removed_is_gone(world: World, programs: Programs) -> None:
    world.prepare("w1")
    programs.apply("w1", 7)
    seen(programs, "w1", ProcessState.STOPPED)
    programs.remove("w1")
    eventually(lambda: "w1" not in programs.processes())
    eventually(lambda: programs.stop_timeout_s("w1") is None)
    assert world.programs.sections() == set()
    programs.remove("w1")


def test_one_that_runs_is_not_removed(world: World, programs: Programs) -> None:
    before = started(world, "w1")
    with pytest.raises(Conflict):
        programs.remove("w1")
    assert seen(programs, "w1", ProcessState.STARTING) == before
    assert world.programs.sections() == {"w1"}


def test_all_are_tried_whatever_becomes_of_one(world: World, programs: Programs) -> None:
    started(world, "w1")
    started(world, "w2")
    with pytest.raises(NotFound):
        programs.stop(["w1", "nobody", "w2"])
    seen(programs, "w1", ProcessState.STOPPED)
    seen(programs, "w2", ProcessState.STOPPED)
    programs.stop([])


def test_somebody_elses_is_neither_seen_nor_touched(world: World, programs: Programs) -> None:
    assert "theirs" not in programs.processes()
    with pytest.raises(Conflict):
        programs.apply("theirs", 7)
    for act in (programs.start, programs.stop, programs.kill):
        with pytest.raises(NotFound):
            act(["theirs"])
    programs.remove("theirs")
    assert world.programs.sections() == set()


@pytest.mark.parametrize("name", ["all", "cyme", "cyme-web", "../x", "a b"])
def test_names_that_may_not_be(programs: Programs, name: str) -> None:
    with pytest.raises(Invalid):
        programs.apply(name, 7)
    with pytest.raises(Invalid):
        programs.remove(name)


def test_changes_are_told(world: World, programs: Programs, listener: Listener) -> None:
    started(world, "w1")
    eventually(lambda: any("w1" in names for names in listener.told))
    listener.told.clear()
    programs.stop(["w1"])
    seen(programs, "w1", ProcessState.STOPPED)
    eventually(lambda: any("w1" in names for names in listener.told))
    assert listener.beats >= 1


def test_while_it_stops(world: World, programs: Programs, listener: Listener) -> None:
    started(world, "w1", is_stubborn=True)
    eventually(lambda: world.is_ready("w1"))
    listener.told.clear()
    world.begin_stop()
    eventually(lambda: not world.programs.is_reachable)
    for act in (
        programs.processes,
        lambda: programs.apply("w1", 8),
        lambda: programs.start(["w1"]),
        lambda: programs.stop(["w1"]),
        lambda: programs.kill(["w1"]),
        lambda: programs.remove("w1"),
    ):
        with pytest.raises(ShuttingDown):
            act()
    eventually(lambda: any("w1" in names for names in listener.told))


def test_lost_and_found(world: World, programs: Programs, listener: Listener) -> None:
    started(world, "w1")
    eventually(lambda: any("w1" in names for names in listener.told))
    listener.told.clear()
    world.end()
    eventually(lambda: not world.programs.is_reachable)
    assert world.programs.reason
    eventually(lambda: any("w1" in names for names in listener.told))
    for act in (
        programs.processes,
        lambda: programs.apply("w1", 8),
        lambda: programs.start(["w1"]),
        lambda: programs.remove("w1"),
    ):
        with pytest.raises(Unavailable):
            act()
    listener.told.clear()
    world.begin_again()
    eventually(lambda: world.programs.is_reachable)
    assert seen(programs, "w1", ProcessState.STOPPED).pid is None
    eventually(lambda: any("w1" in names for names in listener.told))
