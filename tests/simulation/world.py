"""A host, its brokers and its people, under one scheduler."""

from __future__ import annotations

import logging
from collections.abc import Callable
from random import Random

from cyme_supd.testing.store import MemoryStore
from tests.simulation.branch import BRANCH, BranchProcess
from tests.simulation.brokers import Broker
from tests.simulation.disk import Disk
from tests.simulation.faults import Faults
from tests.simulation.laws import Laws
from tests.simulation.people import OTHER_BROKER, People
from tests.simulation.processes import Process
from tests.simulation.scheduler import Scheduler
from tests.simulation.supervisord import Supervisord
from tests.unit.values import BROKER, INTERVAL_S

#: Once nothing goes wrong any more all is as it should be within this time:
#: a refused queue is tried again after a minute, who ended too often after six
#: and a quarter at most.
CONVERGES_WITHIN_S = 480.0
_LOOK_EVERY_S = 2.0


class Broken(AssertionError):
    """A law was broken, or something does not converge."""


class World:
    """A host with its brokers, and those who use it."""

    #: Whether the launcher looks if another runs.
    has_locks = True

    def __init__(self, seed: int, edits: Random | None = None) -> None:
        self.seed = seed
        self.scheduler = Scheduler(seed)
        self.store = MemoryStore(BROKER)
        self.disk = Disk()
        self.brokers = {url: Broker(self.scheduler, url) for url in (BROKER, OTHER_BROKER)}
        self.processes: list[Process] = []
        self._pids = 100
        self.faults = Faults(self)
        self.laws = Laws(self)
        self.people = People(self, edits or self.scheduler.random)
        self.supervisord = Supervisord(self)
        self.supervisord.begin()
        self.branch = BranchProcess(self)
        self._log = _Tracebacks(self.laws)

    # What its inhabitants ask of it

    def spawn(self, name: str, on_exit: Callable[[Process, int], None]) -> Process:
        self._pids += 1
        process = Process(self, name, self._pids, on_exit)
        self.processes.append(process)
        return process

    def on_worker(self, process: Process) -> None:
        self.scheduler.tell("%s: %s becomes a worker", process.name, process.pid)

    def on_exit(self, process: Process) -> None:
        self.processes.remove(process)
        self.laws.on_end(process)

    def process_of(self, name: str) -> Process | None:
        """The one supervisord has."""
        program = self.supervisord.programs.get(name)
        process = program.process if program else None
        return process if process is not None and process.is_alive else None

    def is_stopped(self, pid: int) -> bool:
        """What the kernel says of a process."""
        return any(
            each.worker.is_stopped for each in self.processes if each.pid == pid and each.worker
        )

    def load(self) -> float:
        """How much slower everything starts because others do."""
        return 1.0 + sum(
            0.2 for each in self.processes if each.worker and not each.worker.is_connected
        )

    def crashes_at_boot(self, name: str) -> bool:
        return self.faults.crashes_at_boot(name)

    def send(self) -> None:
        """A hint from whoever stored something."""
        if not self.scheduler.chance(self.faults.lost_hints):
            self.scheduler.after(0.001, self._hint)

    def _hint(self) -> None:
        self.branch.hint()

    # Branch and supervisord

    def kill_branch(self) -> None:
        if self.branch.is_alive:
            self.branch.die()
            self.on_branch_death()

    def on_branch_death(self) -> None:
        """supervisord starts another, if it is there to do so."""
        delay_s = self.scheduler.between(0.5, 2.0)
        self.scheduler.after(delay_s, self.begin_branch)

    def begin_branch(self) -> None:
        supervisord = self.supervisord
        if self.branch.is_alive or supervisord.is_stopping or not supervisord.is_alive:
            return
        if supervisord.is_hung:
            self.on_branch_death()
            return
        self.branch = BranchProcess(self)

    def end_supervisord(self) -> None:
        """It is gone, the branch with it; after a while somebody starts it again."""
        self.supervisord.die()
        self.branch.die()
        delay_s = 0.1 + min(20.0, self.scheduler.random.expovariate(1 / 4.0))
        self.scheduler.after(delay_s, self.begin_supervisord)

    def begin_supervisord(self) -> None:
        if not self.supervisord.is_alive:
            self.supervisord.begin()
            self.begin_branch()

    # Time

    def step(self) -> None:
        self.scheduler.step()
        self.laws.check()
        if self.laws.broken is not None:
            raise Broken(self.laws.broken)

    def run_for(self, seconds: float) -> None:
        until_s = self.scheduler.now_s + seconds
        while self.scheduler.now_s < until_s:
            self.step()

    def run(self, steps: int) -> None:
        """Bad times and good times in turn, for as many steps."""
        while self.scheduler.steps < steps:
            self.storm(self.scheduler.between(20.0, 120.0))
            self.settle()
            self.stay_quiet()

    def storm(self, seconds: float) -> None:
        self.people.begin()
        self.faults.begin()
        self.run_for(seconds)
        self.people.end()
        self.faults.end()

    def settle(self) -> None:
        """Without faults and edits: until all is as it is wanted."""
        until_s = self.scheduler.now_s + CONVERGES_WITHIN_S
        while differences := self.laws.differences():
            if self.scheduler.now_s > until_s:
                raise Broken(f"not within {CONVERGES_WITHIN_S} s: {'; '.join(differences)}")
            self.run_for(_LOOK_EVERY_S)

    def stay_quiet(self) -> None:
        """Once all is as it should be nothing is done and nothing is written."""
        # What was silent until now is heard again by then.
        self.run_for(2 * INTERVAL_S + _LOOK_EVERY_S)
        self.settle()
        self.laws.acts.clear()
        before = self.stored()
        self.run_for(2 * INTERVAL_S)
        if self.laws.acts:
            raise Broken(f"all was as it should be, and yet: {self.laws.acts}")
        if self.stored() != before:
            raise Broken("all was as it should be, and yet something was written")
        if differences := self.laws.differences():
            raise Broken(f"it did not stay so: {'; '.join(differences)}")

    def stored(self) -> object:
        """What of the branch's own is stored; another whenever it was written again."""
        with self.store.reading() as view:
            return [(name, id(status)) for name, status in view.statuses(BRANCH).items()]

    def __enter__(self) -> World:
        self._log.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.branch.die()
        self._log.end()


class _Tracebacks(logging.Handler):
    """What the branch logs as an error of its own is one."""

    def __init__(self, laws: Laws) -> None:
        super().__init__(logging.ERROR)
        self._laws = laws
        self._logger = logging.getLogger("cyme_supd")
        self._before = (self._logger.level, self._logger.propagate)

    def emit(self, record: logging.LogRecord) -> None:
        self._laws.violate(f"the branch logged {self.format(record)}")

    def begin(self) -> None:
        self._before = (self._logger.level, self._logger.propagate)
        self._logger.addHandler(self)
        self._logger.setLevel(logging.ERROR)
        self._logger.propagate = False

    def end(self) -> None:
        self._logger.removeHandler(self)
        level, self._logger.propagate = self._before
        self._logger.setLevel(level)
