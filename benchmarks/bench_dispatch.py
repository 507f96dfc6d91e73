"""How many runs of jobs are ordered a second, beside celery beat.

Five thousand jobs are due every second, which is more than anybody here dispatches:
each works as fast as it can. Ours are two ``cyme-injector`` at one PostgreSQL, and one
on SQLite, both to RabbitMQ, which confirms every message; each fire time is stored, with
the event that says so, before it is ordered. Beat keeps its entries in memory and
publishes to the same RabbitMQ, with confirms, too. They are measured one after the other,
each for ten seconds that begin when it has been at work for three, by what the broker has
in its queue.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kombu import Connection, Queue
from sqlalchemy import func, select

from benchmarks import harness
from benchmarks.dispatching import POSTGRESQL, SQLITE, Bench, bench, each_second
from benchmarks.figures import Table
from cyme_supd.store import models as m
from tests.support import eventually, let_pass

JOBS = 5000
SETTLED_S, WINDOW_S = 3.0, 10.0
POSTGRESQL_LEAST, SQLITE_LEAST = 1000.0, 500.0
PEER_TIMES = 10.0
_BEAT = """\
from celery import Celery

app = Celery("peer", broker={broker!r})
app.conf.task_ignore_result = True
app.conf.broker_transport_options = {{"confirm_publish": True}}
app.conf.beat_max_loop_interval = 1
app.conf.beat_schedule = {{
    f"j{{number}}": {{"task": "t", "schedule": 1.0, "options": {{"queue": "bench_beat"}}}}
    for number in range({jobs})
}}
"""


def main() -> None:
    pairs = harness.pairs_wanted(__doc__)
    rates: dict[str, list[float]] = {POSTGRESQL: [], SQLITE: [], "beat": []}
    with harness.rabbitmq() as broker:
        for _ in range(pairs):
            for kind, count in ((POSTGRESQL, 2), (SQLITE, 1)):
                with bench(kind, broker) as own:
                    own.add(each_second(JOBS, 3))
                    with own.injectors(count):
                        rates[kind].append(rate(own.depth))
                    check(own)
            with beat(broker) as depth:
                rates["beat"].append(rate(depth))
    report(rates)


def report(rates: dict[str, list[float]]) -> None:
    for kind, least in ((POSTGRESQL, POSTGRESQL_LEAST), (SQLITE, SQLITE_LEAST)):
        table = Table(f"Dispatched on {kind}", "/s", 0, more_is_better=True)
        table.ours("cyme-injector", rates[kind])
        table.peer("celery beat", rates["beat"], PEER_TIMES if kind == POSTGRESQL else None)
        table.peer("at least", [least], 1.0)
        table.print()


def rate(depth: Callable[[], int]) -> float:
    """Messages a second, once there are some."""

    def has_begun() -> bool:
        try:
            return depth() > 0
        except Exception:
            # There is no such queue yet.
            return False

    eventually(has_begun, harness.DEADLINE_S, every_s=0.1)
    let_pass(SETTLED_S)
    before, begun = depth(), time.perf_counter()
    let_pass(WINDOW_S)
    after = depth()
    return (after - before) / (time.perf_counter() - begun)


def check(own: Bench) -> None:
    """That what was counted were runs, and none of them twice."""
    with own.store.engine.connect() as connection:
        twice = select(func.count()).select_from(m.run).where(m.run.c.orders > 1)
        if connection.scalar(twice):
            raise RuntimeError("runs were ordered twice")
        marked = select(func.count()).select_from(m.run).where(m.run.c.orders == 1)
        if not connection.scalar(marked):
            raise RuntimeError("no order was marked")


@contextmanager
def beat(broker: str) -> Iterator[Callable[[], int]]:
    with harness.folder() as place, Connection(broker) as connection:
        (place / "peer.py").write_text(_BEAT.format(broker=broker, jobs=JOBS))
        channel = connection.default_channel
        queue = Queue("bench_beat", durable=True)(channel)
        queue.declare()
        argv = [harness.celery(), "-A", "peer", "beat", "-l", "ERROR", "-s", str(place / "s")]
        process = harness.start(argv, place, place / "beat.out")
        try:
            yield lambda: int(queue.queue_declare(passive=True).message_count)
        finally:
            harness.end(process)
            queue.delete()


if __name__ == "__main__":
    main()
