"""How many tasks a producer publishes in a second, with tracking and without.

``apply_async`` in a loop, on RabbitMQ: by an application that is configured by
``Config``, and by one that differs in nothing else, turn by turn from one
process. As Celery publishes by itself, and with confirms, which wait for the
broker to have a message in all of its queues; and what the producer's own
processor time is, which the broker's work beside it is no part of. Every message
is counted afterwards in the queues it has to lie in; nobody consumes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from time import perf_counter, process_time
from typing import Any

from celery import Celery

from benchmarks import harness
from benchmarks.figures import Table
from benchmarks.queues import Queues
from cyme_supd.tracking import Config

#: At most 5 % fewer.
TARGET = 0.95
PUBLISHES = 3000
CONFIRMED = 600
PLAIN, TRACKED, PLATFORM = "plain", "tracked", "platform.fifo"
ARGUMENTS = ("someone@example.com", "Your order", {"order": 4711, "items": ["a", "b", "c"]})


@dataclass(frozen=True)
class Samples:
    """Publishes per second, and microseconds of processor time for each; one a round."""

    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    tracked: Any
    plain: Any
    queues: Queues

    def one_round(self, tracked: Samples, plain: Samples, count: int, turn: int) -> None:
        turns = [
            (self.tracked, tracked, (TRACKED, PLATFORM)),
            (self.plain, plain, (PLAIN,)),
        ]
        for task, samples, queues in turns if turn % 2 else reversed(turns):
            self.publish(task, count, samples, queues)

    def publish(self, task: Any, count: int, samples: Samples, queues: tuple[str, ...]) -> None:
        wall, processor = perf_counter(), process_time()
        for _ in range(count):
            task.apply_async(ARGUMENTS)
        samples.costs.append((process_time() - processor) / count * 1e6)
        samples.rates.append(count / (perf_counter() - wall))
        for name in queues:
            self.queues.take_all(name, count)


def main() -> None:
    pairs = harness.pairs_wanted(__doc__)
    kinds: tuple[tuple[str, int, dict[str, Any]], ...] = (
        ("as Celery does it", PUBLISHES, {}),
        ("with confirms", CONFIRMED, {"confirm_publish": True}),
    )
    for kind, count, options in kinds:
        tracked, plain = Samples(), Samples()
        with harness.rabbitmq() as url, prepared(url, options) as bench:
            # The first round warms what the others find warm.
            bench.one_round(Samples(), Samples(), count, 0)
            for number in range(pairs):
                bench.one_round(tracked, plain, count, number)
        report(kind, tracked, plain)


@contextmanager
def prepared(broker: str, options: dict[str, Any]) -> Iterator[Bench]:
    with ExitStack() as stack:
        more: dict[str, Any] = {"broker_url": broker, "broker_transport_options": options}
        with_config = Celery(TRACKED, set_as_current=False)
        with_config.config_from_object(Config(queues=[TRACKED], **more))
        without = Celery(PLAIN, set_as_current=False)
        without.conf.update(task_default_queue=PLAIN, **more)
        tasks = [
            stack.enter_context(app).task(_nothing, name=f"{app.main}.send", shared=False)
            for app in (with_config, without)
        ]
        for task in tasks:
            # Its queue is there, and empty.
            task.apply_async(ARGUMENTS)
        queues = stack.enter_context(Queues(broker))
        for name in (TRACKED, PLATFORM, PLAIN):
            queues.take_all(name, 1)
        yield Bench(tasks[0], tasks[1], queues)


def report(kind: str, tracked: Samples, plain: Samples) -> None:
    rates = Table(f"Tasks published, {kind}, RabbitMQ", "/s", 0, more_is_better=True)
    rates.ours("ours: with tracking", tracked.rates)
    rates.peer("Celery: without", plain.rates, TARGET)
    rates.print()
    costs = Table(f"Processor time of the producer, {kind}, RabbitMQ", "us", 0)
    costs.ours("ours: a publish with tracking", tracked.costs)
    costs.peer("Celery: without", plain.costs, 1 / TARGET)
    costs.print()


def _nothing(*args: Any) -> None:
    """Nobody runs it."""


if __name__ == "__main__":
    main()
