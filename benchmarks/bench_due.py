"""How late a job is ordered that is due by itself, and what it costs that none is due.

Late: from the fire time to the moment at which somebody who waits for it has the order
from RabbitMQ; five a second, on a system that does nothing else. A scheduler that looks
once a second, as CronQ did, is late by up to that. At rest: the processor time of a
``cyme-injector`` with a hundred thousand jobs none of which is due, a window of ten
seconds each.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from statistics import quantiles
from typing import Any

from kombu import Connection, Consumer, Queue

from benchmarks import harness
from benchmarks.costs import busy
from benchmarks.dispatching import POSTGRESQL, QUEUE, SQLITE, Bench, bench, due_at, each_second
from benchmarks.figures import Table
from cyme_supd.domain.jobstore import RunQuery
from tests.support import let_pass

LATE_MS = 50.0
CPU_PERCENT = 1.0
IDLE_JOBS = 100_000
WINDOW_S = 10.0
SETTLED_S = 5.0


def main() -> None:
    wanted = harness.wanted(__doc__, orders=200, windows=10)
    with harness.rabbitmq() as broker:
        for kind in (POSTGRESQL, SQLITE):
            with bench(kind, broker) as own:
                report_late(kind, late_ms(own, wanted["orders"]))
            with bench(kind, broker) as own:
                report_idle(kind, idle_percent(own, wanted["windows"]))


def report_late(kind: str, samples: list[float]) -> None:
    table = Table(f"Late on {kind}, 99 of {len(samples)} in a hundred", "ms", 1)
    table.ours("cyme-injector, p99", [quantiles(samples, n=100)[98]])
    table.limit("at most", LATE_MS)
    table.part("all of them", samples)
    table.print()


def report_idle(kind: str, samples: list[float]) -> None:
    table = Table(f"At rest on {kind}, {IDLE_JOBS} jobs", "%", 2)
    table.ours("cyme-injector", samples)
    table.limit("at most", CPU_PERCENT)
    table.print()


def late_ms(own: Bench, count: int) -> list[float]:
    for offset in range(5):
        own.add(each_second(1, 5, offset / 5))
    with own.injectors(1):
        arrived = arrivals(own, count)
    with own.store.reading() as view:
        found = {run.id: run.fire_at for run in view.runs(RunQuery(limit=count * 2))}
    return [1000 * (at - found[id]).total_seconds() for id, at in arrived.items() if id in found]


def arrivals(own: Bench, count: int) -> dict[str, datetime]:
    """When each order came, by its run."""
    arrived: dict[str, datetime] = {}

    def note(message: Any) -> None:
        arrived.setdefault(message.headers["id"], datetime.now(UTC))

    with Connection(own.broker) as connection:
        queue = Queue(QUEUE, durable=True)
        with Consumer(connection, [queue], on_message=note, no_ack=True, accept=["json"]):
            until = time.monotonic() + harness.DEADLINE_S
            while len(arrived) < count and time.monotonic() < until:
                try:
                    connection.drain_events(timeout=1)
                except TimeoutError:
                    continue
    return arrived


def idle_percent(own: Bench, windows: int) -> list[float]:
    later = datetime.now(UTC) + timedelta(days=1)
    own.add([due_at(later, "P1D", str(number)) for number in range(IDLE_JOBS)])
    samples = []
    with own.injectors(1) as pids:
        let_pass(SETTLED_S)
        for _ in range(windows):
            before = busy({"injector": pids[0]})["injector"]
            let_pass(WINDOW_S)
            after = busy({"injector": pids[0]})["injector"]
            samples.append(100 * (after - before) / WINDOW_S)
    return samples


if __name__ == "__main__":
    main()
