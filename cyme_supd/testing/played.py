"""A branch whose time is played: what it is told becomes so when somebody sleeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cyme_supd.domain.launch import Launch, launch
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import Branch, ProcessState, Status
from cyme_supd.domain.tail import Piece, Place
from cyme_supd.testing.launches import MemoryLaunches
from cyme_supd.testing.store import MemoryStore

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SUP_INTERVAL_S = 5.0


def the_launch(worker: Worker) -> Launch:
    return launch(worker, "/venv/bin/celery", "/boot", "INFO", "reply")


@dataclass
class PlayedClock:
    """Seconds pass only in ``sleep``; whoever listens is called at each."""

    elapsed: float = 0.0
    listeners: list[Callable[[], None]] = field(default_factory=list)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        return self.elapsed

    def sleep(self, seconds: float) -> None:
        self.elapsed += seconds
        for listener in self.listeners:
            listener()


@dataclass
class Hints:
    sent: int = 0

    def send(self) -> None:
        self.sent += 1


@dataclass
class Logs:
    content: bytes = b"one\ntwo\n"

    def tail(self, name: str, size: int) -> bytes:
        return self.content[-size:]

    def read(self, name: str, place: Place | None, size: int) -> Piece:
        begin = 0 if place is None or place.offset > len(self.content) else place.offset
        skipped = 0 if place is None else max(0, len(self.content) - begin - size)
        return Piece(self.content[begin:][-size:], Place(1, len(self.content)), skipped)


@dataclass
class RunLogs:
    """What runs have printed on this host, by job and run."""

    known: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def read(self, job: str, run: str, place: Place | None, size: int) -> Piece | None:
        content = self.known.get((job, run))
        return None if content is None else Logs(content).read(run, place, size)

    def part(self, job: str, run: str, begin: int | None, size: int) -> tuple[int, bytes] | None:
        content = self.known.get((job, run))
        if content is None:
            return None
        start = max(0, len(content) - size) if begin is None else begin
        return len(content), content[start : start + size]


@dataclass
class Backends:
    """Result backends, by URL and id: state, result, error."""

    known: dict[tuple[str, str], tuple[str, Any, str | None]] = field(default_factory=dict)

    def look(self, url: str, id: str) -> tuple[str, Any, str | None]:
        return self.known.get((url, id), ("PENDING", None, None))


@dataclass
class PlayedBranch:
    """Makes every spec so, a while after it was stored.

    ``override`` changes the status that would be written; ``is_dead`` stops it.
    """

    store: MemoryStore
    clock: PlayedClock
    id: str = "b1"
    launches: MemoryLaunches = field(default_factory=MemoryLaunches)
    takes_s: float = 0.1
    is_dead: bool = False
    override: dict[str, Any] = field(default_factory=dict)
    health: dict[str, Any] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)
    due: dict[tuple[str, int], float] = field(default_factory=dict)

    def run(self) -> None:
        if self.is_dead:
            return
        with self.store.writing() as tx:
            tx.save_branch(self.row())
            for worker in tx.workers(self.id):
                key = (worker.name, worker.instance.generation)
                if self.clock.elapsed < self.due.setdefault(key, self.clock.elapsed + self.takes_s):
                    continue
                if worker.instance.is_deleting:
                    tx.remove_instance(worker.name)
                    self.launches.remove(worker.name)
                else:
                    status = replace(self.status(worker), **self.override)
                    tx.save_statuses([status])
                    self.launch(worker, status)

    def status(self, worker: Worker) -> Status:
        spec = worker.instance
        if not spec.is_enabled:
            return Status(spec.name, spec.generation, ProcessState.STOPPED, ready=False)
        pid = 1000 + spec.restarts
        return Status(
            name=spec.name,
            generation=spec.generation,
            state=ProcessState.RUNNING,
            pid=pid,
            ready=True,
            consuming=True,
            autoscale=worker.autoscale if worker.is_autoscaled else None,
            queues=tuple(sorted(spec.queues)),
        )

    def launch(self, worker: Worker, status: Status) -> None:
        """What the branch writes for the launcher, and the launcher for the branch."""
        self.launches.write(worker.name, the_launch(worker))
        if status.pid is not None:
            self.launches.launched(worker.name, status.pid)

    def row(self) -> Branch:
        return Branch(
            id=self.id,
            url="http://127.0.0.1:8000",
            port=8000,
            version="0",
            sup_interval=SUP_INTERVAL_S,
            numc=2,
            loglevel="INFO",
            logfile=None,
            started_at=START,
            observed_at=self.clock.now(),
            health=self.health,
        )
