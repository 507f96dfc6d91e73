"""A branch process in the world: the real reconciler over ports that can fail anywhere."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Any, cast

from cyme_supd.branch.care import Attendant, Rule
from cyme_supd.branch.reconciler import Reconciler, Surroundings
from cyme_supd.branch.workqueue import WorkQueue
from cyme_supd.domain.catalogue import Version
from cyme_supd.domain.launch import Launch
from cyme_supd.domain.status import Branch, Process, Running
from cyme_supd.errors import CymeError, Unavailable
from cyme_supd.supervisord.client import READ_TIMEOUT_S
from cyme_supd.supervisord.programs import SupervisordPrograms
from cyme_supd.testing.store import MemoryTransaction, MemoryView
from tests.simulation.backlogs import SimulatedBacklogs
from tests.simulation.disk import Disk, Sections
from tests.simulation.remote import SimulatedRemote
from tests.simulation.scheduler import Fiber, Never, Wakeup
from tests.unit.values import AT, BROKER, INTERVAL_S, RECONNECT_S, the_launch

if TYPE_CHECKING:
    from tests.simulation.world import World

BRANCH = "b1"
MAX_STARTING = 4
#: The listener hears nothing for so long: supervisord hangs.
LISTENER_PATIENCE_S = 20.0


class Died(BaseException):
    """The process was killed; nothing in it gets to catch that."""


class SeenPrograms(SupervisordPrograms):
    """Remembers what was read of each last, and when."""

    def __init__(self, branch: BranchProcess) -> None:
        super().__init__(cast(Any, Client(branch)), cast(Any, Sections(branch.world.disk)))
        self._scheduler = branch.world.scheduler
        self.seen: dict[str, Process] = {}
        self.seen_at: dict[str, float] = {}

    def processes(self, names: Collection[str] | None = None) -> dict[str, Process]:
        found = super().processes(names)
        self.seen.update(found)
        for name in self.seen.keys() | found if names is None else names:
            self.seen_at[name] = self._scheduler.now_s
            if name not in found:
                self.seen.pop(name, None)
        return found


class OneTurn:
    """The event that ends a loop after one turn."""

    def __init__(self) -> None:
        self._turns = 0

    def is_set(self) -> bool:
        self._turns += 1
        return self._turns > 1

    def wait(self, _seconds: float) -> None:
        """Whoever turns the loop waits in between."""


class BranchProcess:
    """From its start to its death. What it knew is gone with it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.is_alive = True
        self._is_polling = False
        scheduler = world.scheduler
        self.fiber = Fiber(scheduler, self._run)
        self.queue = WorkQueue(scheduler)
        # Nothing here waits by the real clock.
        self.queue._wakeup = cast(Any, Wakeup(self.fiber))
        self.programs = SeenPrograms(self)
        self.backlogs = SimulatedBacklogs(world)
        self.remote = SimulatedRemote(
            scheduler,
            world.brokers,
            on_news=lambda node: self.queue.put([node.partition("@")[0]]),
            on_pulse=self.queue.resync,
            gate=self.gate,
        )
        self.reconciler = Reconciler(
            Surroundings(
                cast(Any, GatedStore(self)),
                self.programs,
                cast(Any, GatedLaunches(self)),
                self.remote,
                self.queue,
                scheduler,
            ),
            about=_about,
            launch_of=the_launch,
            broker=BROKER,
            max_starting=MAX_STARTING,
            reconnect_s=RECONNECT_S,
            attendant=Attendant(
                scheduler,
                Rule(INTERVAL_S, RECONNECT_S),
                self.backlogs,
                world.is_stopped,
                scheduler.random.random,
            ),
        )
        scheduler.tell("branch: begins")
        world.supervisord.on_change = self.poll_soon
        self.poll_soon()
        scheduler.after(0.02, self.fiber.start)

    def die(self) -> None:
        """Killed from outside, wherever it is."""
        if self.is_alive:
            self._bury()
            self.fiber.kill(Died())

    def hint(self) -> None:
        if self.is_alive:
            self.queue.hint()

    def _run(self) -> None:
        try:
            self.reconciler.run(cast(Any, Never(self.fiber)), lambda: None)
        except Died:
            if self.is_alive:
                self._bury()
                self.world.on_branch_death()

    def _bury(self) -> None:
        self.world.scheduler.tell("branch: dies")
        self.is_alive = False
        self.world.supervisord.on_change = None
        self.remote.stop()
        self.backlogs.end()

    # What every port passes through

    def gate(self, verb: str, name: str) -> None:
        """Before something is done: it takes a while, or is never done."""
        self.world.laws.on_act(verb, name)
        self.world.faults.last_act = self.world.faults.calls + 1
        self.pass_through(verb, name)

    def pass_through(self, verb: str, name: str) -> None:
        self.world.scheduler.tell("branch: %s %s", verb, name)
        if self.world.faults.is_last_call():
            raise Died
        if self.world.scheduler.chance(self.world.faults.slow):
            self.fiber.sleep(self.world.scheduler.between(0.001, 0.3))

    # supervisord's news

    def poll_soon(self) -> None:
        if self.is_alive and not self._is_polling:
            self._is_polling = True
            delay_s = self.world.faults.news_delay_s()
            self.world.scheduler.after(delay_s, self._poll)

    def _poll(self) -> None:
        self._is_polling = False
        if not self.is_alive:
            return
        if self.world.supervisord.is_hung:
            self.world.scheduler.after(LISTENER_PATIENCE_S, self._give_up)
            return
        turn = cast(Event, OneTurn())
        self.programs.listen(turn, lambda names: self.queue.put(sorted(names)), lambda: None)

    def _give_up(self) -> None:
        if self.is_alive and self.world.supervisord.is_hung:
            turn = cast(Event, OneTurn())
            self.programs.listen(turn, lambda names: self.queue.put(sorted(names)), lambda: None)


def _about() -> Branch:
    return Branch(BRANCH, "http://h", 1, "0", INTERVAL_S, 2, "INFO", None, AT)


class Client:
    """Stands in for :class:`cyme_supd.supervisord.client.Supervisord`."""

    def __init__(self, branch: BranchProcess) -> None:
        self._branch = branch
        self._world = branch.world

    def apply(self, names: Sequence[str]) -> None:
        self._each("apply", names, self._world.supervisord.apply)

    def start(self, names: Sequence[str]) -> None:
        self._each("start", names, self._world.supervisord.start)

    def stop(self, names: Sequence[str]) -> None:
        self._each("stop", names, self._world.supervisord.stop)

    def kill(self, names: Sequence[str]) -> None:
        self._each("kill", names, self._world.supervisord.kill)

    def remove(self, names: Sequence[str]) -> None:
        self._each("remove", names, self._world.supervisord.remove)

    def changes(self, position: str, *_: object) -> dict[str, Any] | None:
        if self._world.supervisord.is_hung:
            raise Unavailable("supervisord does not answer")
        return self._world.supervisord.changes(position)

    def _each(self, verb: str, names: Sequence[str], act: Callable[[str], None]) -> None:
        def gated(name: str) -> None:
            self._branch.gate(verb, name)
            self._call(act, name)
            self._branch.pass_through("has called", verb)

        first_error_of(names, gated)

    def _call(self, act: Callable[[str], None], name: str) -> None:
        supervisord = self._world.supervisord
        if self._world.scheduler.chance(self._world.faults.call_failures):
            # Heard or not, the answer does not come.
            if self._world.scheduler.chance(0.5):
                act(name)
            raise Unavailable("supervisord cannot be reached")
        if supervisord.is_hung:
            supervisord.read_later(lambda: act(name))
            self._branch.fiber.sleep(READ_TIMEOUT_S)
            raise Unavailable("supervisord does not answer")
        act(name)


def first_error_of(names: Sequence[str], act: Callable[[str], None]) -> None:
    """All of them are tried; then the first error is raised."""
    first: CymeError | None = None
    for name in names:
        try:
            act(name)
        except CymeError as exc:
            first = first or exc
    if first is not None:
        raise first


class GatedLaunches:
    """The disk's launch files, as a branch reaches them."""

    def __init__(self, branch: BranchProcess) -> None:
        self._branch = branch
        self._disk: Disk = branch.world.disk

    def write(self, name: str, launch: Launch) -> None:
        self._branch.gate("write", name)
        self._fail()
        self._disk.write(name, launch)
        self._branch.pass_through("has written", name)

    def written(self, name: str) -> str | None:
        return self._disk.written(name)

    def running(self, name: str, pid: int) -> Running | None:
        return self._disk.running(name, pid)

    def remove(self, name: str) -> None:
        self._branch.gate("unlink", name)
        self._fail()
        self._disk.remove(name)
        self._branch.pass_through("has unlinked", name)

    def _fail(self) -> None:
        if self._branch.world.scheduler.chance(self._branch.world.faults.disk_failures):
            raise Unavailable("no space left on device")


class GatedStore:
    """The store as a branch reaches it: it may be away before and after every look."""

    def __init__(self, branch: BranchProcess) -> None:
        self._branch = branch
        self._world = branch.world

    @contextmanager
    def reading(self) -> Iterator[MemoryView]:
        self._open("read")
        with self._world.store.reading() as view:
            self._world.laws.on_read(view)
            yield view

    @contextmanager
    def writing(self, stamp: Version | None = None) -> Iterator[MemoryTransaction]:
        self._open("save")
        with self._world.store.writing(stamp) as tx:
            before = tx.workers(BRANCH)
            yield tx
            self._world.laws.on_write(before, tx.workers(BRANCH))
            self._world.laws.on_statuses(tx.statuses(BRANCH))
            if self._world.scheduler.chance(self._world.faults.store_failures):
                raise Unavailable("the database is locked")
        self._branch.pass_through("has saved", "")

    def _open(self, verb: str) -> None:
        self._branch.pass_through(verb, "")
        if self._world.scheduler.chance(self._world.faults.store_failures):
            self._world.laws.on_blind()
            self._branch.fiber.sleep(self._world.scheduler.between(0.0, 2.0))
            raise Unavailable("the database is locked")
