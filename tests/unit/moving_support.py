"""Branches whose instances move: reconcilers, services and stores are real, hosts are played."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from cyme_supd import __version__
from cyme_supd.branch.workqueue import WorkQueue
from cyme_supd.domain.mailbox import Mailbox
from cyme_supd.domain.pause import Pause
from cyme_supd.domain.ports import Store, Transaction
from cyme_supd.domain.presence import Gathered, Heartbeat
from cyme_supd.domain.spec import App, Instance, Queue
from cyme_supd.domain.status import Branch, ProcessState
from cyme_supd.errors import NoAnswer, NotFound
from cyme_supd.metrics import Metrics
from cyme_supd.service import Moves, Service, ThisBranch
from cyme_supd.service.arrivals import MOVE
from cyme_supd.service.fleet import FIND
from cyme_supd.testing.launches import MemoryLaunches
from cyme_supd.testing.mailbox import Handler, MemoryBranch, MemoryFleet
from cyme_supd.testing.programs import FakePrograms
from cyme_supd.testing.remote import FakeRemoteControl
from cyme_supd.testing.store import MemoryStore
from tests.unit.played_host import Host
from tests.unit.service_support import HERE, PlayedClock, world
from tests.unit.values import AT, BROKER

#: Everything that can be set, and is to be found again.
WHOLE = Instance(
    "w1",
    "foo",
    "b1",
    AT,
    broker="redis://127.0.0.1:6379/7",
    max_concurrency=4,
    min_concurrency=2,
    pool="prefork",
    arguments=("-O", "fair"),
    extra_config={"worker_prefetch_multiplier": 1},
    stop_timeout_s=5,
    hung_timeout_s=60,
    queues=("b", "a"),
    generation=7,
    restarts=3,
    pause=Pause("for a while", AT),
)


#: What the fakes have for an answer of a process that died of the question.
DEAD = {"is": "dead"}


class Died(BaseException):
    """A process was killed."""


class Blows:
    """Kills whoever does something that is seen outside, before or after it is done."""

    def __init__(self) -> None:
        self.left: int | None = None

    def fall(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise Died


class HitStore:
    """Stores as the one it has does; its process may die of it."""

    def __init__(self, store: Store, blows: Blows) -> None:
        self._store = store
        self._blows = blows
        self.reading = store.reading
        self.version = store.version

    @contextmanager
    def writing(self, stamp: Any = None) -> Iterator[Transaction]:
        self._blows.fall()
        with self._store.writing(stamp) as tx:
            yield tx
        self._blows.fall()

    recording = writing


class HitFleet:
    """The mailbox of a process that may die of a question, put or answered."""

    def __init__(self, fleet: MemoryFleet, blows: Blows) -> None:
        self._fleet = fleet
        self._blows = blows
        self.peers = fleet.peers
        self.cast = fleet.cast

    def ask(self, branch: str, command: str, arguments: Mapping[str, Any], timeout_s: float) -> Any:
        self._blows.fall()
        said = self._fleet.ask(branch, command, arguments, timeout_s)
        self._blows.fall()
        if said == DEAD:
            raise NoAnswer(f"branch {branch!r} did not answer")
        return said

    def scatter(
        self,
        command: str,
        arguments: Mapping[str, Any],
        timeout_s: float,
        branches: Collection[str] | None = None,
    ) -> Gathered:
        found = self._fleet.scatter(command, arguments, timeout_s, branches)
        dead = [id for id, said in found.answers.items() if said == DEAD]
        answers = {id: said for id, said in found.answers.items() if id not in dead}
        return Gathered(answers, found.errors, (*found.silent, *dead))


class Place(Host):
    """One branch, on a host of its own."""

    def __init__(self, id: str, yard: Yard, store: MemoryStore | None) -> None:
        self.id = id
        self.clock = yard.clock  # type: ignore[assignment]
        self.blows = Blows()
        self._yard = yard
        self._house = world(replace(HERE, id=id), fleet=yard.fleet, clock=yard.clock)
        self._house.branch.is_dead = True
        self.is_shared = store is not None
        self.memory = store or self._house.store
        self.store = HitStore(self.memory, self.blows)  # type: ignore[assignment]
        self.programs = FakePrograms()
        self.launches = MemoryLaunches()
        self.remote = FakeRemoteControl(self.clock)
        self.max_starting = 9
        self.metrics = Metrics()
        #: Whether workers that are started get up.
        self.is_able = True
        #: Whether they finish at once what they have begun.
        self.is_quick = True
        self.begin_again()
        self.peer: MemoryBranch = yard.fleet.join(self.heartbeat(), self.handlers())

    def begin_again(self) -> None:
        """Its process dies and is back: it knows what is stored, and no more."""
        self.blows.left = None
        self.queue = WorkQueue(self.clock)
        super().begin_again()
        mailbox: Mailbox = HitFleet(self._yard.fleet, self.blows)
        self._house.fleet = mailbox  # type: ignore[assignment]
        here = ThisBranch(self.id, BROKER, False, 5.0, is_shared=self.is_shared)
        self.service: Service = self._house.over(self.store, here)
        self.moves: Moves = self.service.moves

    def handlers(self) -> dict[str, Callable[..., Any]]:
        catalogue = self.service.catalogue.handlers()
        return {
            **{name: self._answering(partial(_of, name)) for name in catalogue},
            FIND: self._answering(lambda service: service.fleet.answer),
            MOVE: self._answering(lambda service: service.arrivals.answer),
        }

    def _answering(self, of: Callable[[Service], Handler]) -> Handler:
        def answer(arguments: Mapping[str, Any], left_s: float) -> Any:
            try:
                return of(self.service)(arguments, left_s)
            except Died:
                self.begin_again()
                return DEAD

        return answer

    def about(self) -> Branch:
        return Branch(self.id, "http://h", 1, __version__, 5.0, 2, "INFO", None, AT)

    def heartbeat(self) -> Heartbeat:
        return Heartbeat(self.id, "http://h", 1, __version__, AT, 5.0, 2, "INFO")

    def turn(self) -> None:
        """Everything that it would do in a second, and its workers."""
        try:
            self.reconciler.full_pass()
            self._workers_go_on()
            self.reconciler.full_pass()
            self.moves.look()
        except Died:
            self.begin_again()

    def _workers_go_on(self) -> None:
        for name, process in self.programs.processes().items():
            if process.state is ProcessState.STOPPING:
                if self.is_quick:
                    self.programs.end(name)
            elif process.state.is_up and self.is_able:
                self.programs.run(name)
                self.launches.launched(name, self.programs.pid(name))
                self.remote.says(self.worker(name), self.programs.pid(name))

    def has(self, name: str) -> Instance | None:
        with self.memory.reading() as view:
            try:
                found = view.instance(name)
            except NotFound:
                return None
        return found if found.branch == self.id else None

    def runs(self, name: str) -> bool:
        process = self.programs.processes().get(name)
        return process is not None and process.state.has_process

    def is_ready(self, name: str) -> bool:
        with self.memory.reading() as view:
            status = view.status(name)
        return self.has(name) is not None and status is not None and status.ready is True

    def moving(self) -> Mapping[str, Any]:
        found = self.service.branches.get(self.id).moving
        assert found is not None
        return found


def _of(name: str, service: Service) -> Handler:
    return service.catalogue.handlers()[name]


class Yard:
    """Branches ``b1``, ``b2``, ..., of which the first has *instances*."""

    def __init__(self, is_shared: bool, *instances: Instance, branches: int = 2) -> None:
        self.clock = PlayedClock()
        self.fleet = MemoryFleet(self.clock)
        store = MemoryStore(BROKER) if is_shared else None
        ids = [f"b{number}" for number in range(1, branches + 1)]
        self.places = {id: Place(id, self, store) for id in ids}
        self.first = self.places["b1"]
        with self.first.memory.writing() as tx:
            tx.add_app(App("foo", AT))
            for name in "ab":
                tx.add_queue(Queue("foo", name, name, "direct", name, {}, AT))
            for each in instances:
                tx.add_instance(each)
        for _ in range(2):
            self.turn()

    def turn(self) -> None:
        """A second goes by; no name ever runs twice, and none is lost."""
        names = self.names()
        self.clock.sleep(1.0)
        for place in self.places.values():
            if place.peer.is_alive:
                place.turn()
            self.check(names)

    def check(self, names: set[str]) -> None:
        assert names <= self.names()
        for name in names:
            runs = [place.id for place in self.places.values() if place.runs(name)]
            assert len(runs) < 2, (name, runs)

    def names(self) -> set[str]:
        return {
            name
            for place in self.places.values()
            for name in ("w1", "w2", "w3")
            if place.has(name) is not None
        }

    def drain(self, id: str = "b1", has_to_move: bool = True) -> None:
        place = self.places[id]
        place.service.branches.drain(id, True, has_to_move)
        place.peer.heartbeat = replace(place.peer.heartbeat, is_draining=True)

    def undrain(self, id: str = "b1") -> None:
        place = self.places[id]
        place.service.branches.drain(id, False)
        place.peer.heartbeat = replace(place.peer.heartbeat, is_draining=False)

    def until(self, done: Callable[[], bool], within: int = 90) -> None:
        for _ in range(within):
            if done():
                return
            self.turn()
        raise AssertionError([place.service.branches.get(id) for id, place in self.places.items()])
