"""A service over fakes: time moves when somebody sleeps, and then the branch acts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import Branch, ProcessState, Status
from cyme_supd.errors import Unavailable
from cyme_supd.service import Service, ThisBranch
from cyme_supd.testing.brokers import MemoryBrokerQueues
from cyme_supd.testing.publisher import MemoryPublisher
from cyme_supd.testing.store import MemoryStore

BROKER = "redis://:s3cret@127.0.0.1:6379/0"
KEY = parse_broker(BROKER).key
HERE = ThisBranch(id="b1", broker=BROKER, is_root=False, sup_interval=5.0)
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


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


@dataclass
class Questions:
    answer: dict[str, object] | None = None

    def stats(self, worker: Worker, timeout_s: float) -> dict[str, object]:
        if self.answer is None:
            raise Unavailable(f"{worker.name} did not answer within {timeout_s:g} s")
        return self.answer


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
            for worker in tx.workers(HERE.id):
                key = (worker.name, worker.instance.generation)
                if self.clock.elapsed < self.due.setdefault(key, self.clock.elapsed + self.takes_s):
                    continue
                if worker.instance.is_deleting:
                    tx.remove_instance(worker.name)
                else:
                    tx.save_statuses([replace(self.status(worker), **self.override)])

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

    def row(self) -> Branch:
        return Branch(
            id=HERE.id,
            url="http://127.0.0.1:8000",
            port=8000,
            version="0",
            sup_interval=HERE.sup_interval,
            numc=2,
            loglevel="INFO",
            logfile=None,
            started_at=START,
            observed_at=self.clock.now(),
            health=self.health,
        )


@dataclass
class World:
    """A service and everything around it."""

    store: MemoryStore
    clock: PlayedClock
    hints: Hints
    logs: Logs
    questions: Questions
    broker_queues: MemoryBrokerQueues
    branch: PlayedBranch
    publisher: MemoryPublisher
    backends: Backends
    service: Service


def world(here: ThisBranch = HERE, max_waits: int = 16) -> World:
    store, clock = MemoryStore(BROKER), PlayedClock()
    hints, logs, questions = Hints(), Logs(), Questions()
    publisher, backends = MemoryPublisher(), Backends()
    broker_queues = MemoryBrokerQueues()
    branch = PlayedBranch(store, clock)
    clock.listeners.append(branch.run)
    branch.run()
    service = Service(
        store=store,
        hints=hints,
        questions=questions,
        broker_queues=broker_queues,
        logs=logs,
        publisher=publisher,
        backends=backends,
        clock=clock,
        here=here,
        max_waits=max_waits,
    )
    return World(
        store,
        clock,
        hints,
        logs,
        questions,
        broker_queues,
        branch,
        publisher,
        backends,
        service,
    )
