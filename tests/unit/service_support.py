"""A service over fakes: time moves when somebody sleeps, and then the branch acts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.ports import Store
from cyme_supd.domain.spec import Queue
from cyme_supd.service import Service, ThisBranch
from cyme_supd.testing.brokers import MemoryBrokerQueues
from cyme_supd.testing.mailbox import MemoryFleet
from cyme_supd.testing.played import START as START
from cyme_supd.testing.played import Backends as Backends
from cyme_supd.testing.played import Hints as Hints
from cyme_supd.testing.played import Logs as Logs
from cyme_supd.testing.played import PlayedBranch as PlayedBranch
from cyme_supd.testing.played import PlayedClock as PlayedClock
from cyme_supd.testing.played import RunLogs as RunLogs
from cyme_supd.testing.played import the_launch
from cyme_supd.testing.publisher import MemoryPublisher
from cyme_supd.testing.questions import MemoryQuestions
from cyme_supd.testing.store import MemoryStore
from cyme_supd.testing.strays import MemoryStrays
from cyme_supd.testing.taskbroker import MemoryTaskBroker

BROKER = "redis://:s3cret@127.0.0.1:6379/0"
KEY = parse_broker(BROKER).key
HERE = ThisBranch(id="b1", broker=BROKER, is_root=False, sup_interval=5.0)


@dataclass
class World:
    """A service and everything around it."""

    store: MemoryStore
    clock: PlayedClock
    hints: Hints
    logs: Logs
    run_logs: RunLogs
    questions: MemoryQuestions
    broker_queues: MemoryBrokerQueues
    branch: PlayedBranch
    publisher: MemoryPublisher
    task_broker: MemoryTaskBroker
    backends: Backends
    strays: MemoryStrays
    fleet: MemoryFleet
    service: Service

    def over(self, store: Store, here: ThisBranch = HERE, max_waits: int = 16) -> Service:
        """A service on *store*, with all else as it is here."""
        return Service(
            store=store,
            hints=self.hints,
            questions=self.questions,
            broker_queues=self.broker_queues,
            logs=self.logs,
            publisher=self.publisher,
            task_broker=self.task_broker,
            backends=self.backends,
            run_logs=self.run_logs,
            strays=self.strays,
            mailbox=self.fleet,
            presence=self.fleet,
            launched=self.branch.launches,
            launch_of=the_launch,
            clock=self.clock,
            here=here,
            max_waits=max_waits,
        )


def world(
    here: ThisBranch = HERE,
    max_waits: int = 16,
    fleet: MemoryFleet | None = None,
    clock: PlayedClock | None = None,
) -> World:
    store, clock = MemoryStore(BROKER), clock or PlayedClock()
    hints, logs, questions, strays = Hints(), Logs(), MemoryQuestions(), MemoryStrays()
    publisher, backends = MemoryPublisher(), Backends()
    broker_queues = MemoryBrokerQueues()
    branch = PlayedBranch(store, clock, here.id)
    clock.listeners.append(branch.run)
    branch.run()
    made = World(
        store,
        clock,
        hints,
        logs,
        RunLogs(),
        questions,
        broker_queues,
        branch,
        publisher,
        MemoryTaskBroker(),
        backends,
        strays,
        fleet or MemoryFleet(clock),
        service=cast(Service, None),
    )
    made.service = made.over(store, here, max_waits)
    return made


def put(house: World, name: str | None = "w1", **given: Any) -> Any:
    return house.service.instances.put("foo", name, given, 5)


def generation(house: World) -> int:
    return house.service.instances.get("foo", "w1").instance.generation


def later(house: World, change: Callable[[], object], at_s: float) -> None:
    """Call *change* once, when the clock has reached *at_s*."""

    def check() -> None:
        if house.clock.elapsed >= at_s:
            house.clock.listeners.remove(check)
            change()

    house.clock.listeners.append(check)


def declare(house: World, name: str) -> None:
    with house.store.writing() as tx:
        tx.add_queue(Queue("foo", name, name, "direct", name, {}, START))
