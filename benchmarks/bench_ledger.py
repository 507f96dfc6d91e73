"""How many messages a second the monitor records, and what Flower takes in of events.

Tasks lie in the platform queue of a RabbitMQ, as Celery has published them; a monitor
takes, parses and commits them, into PostgreSQL and into SQLite, and acknowledges. Beside
it Flower's state is given as many events of tasks it has not heard of, by Celery's own
receiver: it keeps them in memory, the last 10,000. The processor's time is that of the
process of the monitor, or of Flower; of a database server's it has none, and so it says
what one core takes in, also where others keep the machine busy.
"""

from __future__ import annotations

import json
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from celery import Celery
from celery.events import EventReceiver
from flower.events import EventsState
from kombu import Connection, Exchange, Producer, Queue

from benchmarks import harness
from benchmarks.figures import Table
from cyme_supd.clock import SystemClock
from cyme_supd.domain.taskmessage import Redaction
from cyme_supd.domain.tracking import Place
from cyme_supd.monitor.amqp import EVENT_EXCHANGE
from cyme_supd.monitor.station import Station
from cyme_supd.store.engine import open_engine, sqlite_url
from cyme_supd.store.migrations import migrate
from cyme_supd.store.repository import SqlStore
from tests import databases
from tests.support import eventually

MESSAGES = 20_000
#: Messages a second on one core.
TARGETS = {databases.POSTGRESQL: 4000.0, "sqlite": 3000.0}


@dataclass
class Samples:
    """A second of the clock, and a second of the process' own processor time."""

    rates: list[float] = field(default_factory=list)
    of_one_core: list[float] = field(default_factory=list)

    @contextmanager
    def taking(self, count: int) -> Iterator[None]:
        wall, processor = time.perf_counter(), time.process_time()
        yield
        self.of_one_core.append(count / (time.process_time() - processor))
        self.rates.append(count / (time.perf_counter() - wall))


def main() -> None:
    numbers = harness.wanted(__doc__, pairs=5, messages=MESSAGES)
    count = numbers["messages"]
    flower, ours = Samples(), {kind: Samples() for kind in TARGETS}
    sizes = []
    with harness.rabbitmq() as url, stores() as opened:
        for _ in range(numbers["pairs"]):
            for kind, store in opened.items():
                record(url, store, count, ours[kind])
            take_events(url, count, flower)
            sizes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    for kind, samples in ours.items():
        report(kind, samples, flower)
    print(f"Most memory, MB, after each round: {sizes}")


@contextmanager
def stores() -> Iterator[dict[str, SqlStore]]:
    with ExitStack() as stack:
        server = stack.enter_context(databases.server(databases.POSTGRESQL))
        place = stack.enter_context(harness.folder())
        urls = {
            databases.POSTGRESQL: stack.enter_context(server.database()),
            "sqlite": sqlite_url(place / "bench.db"),
        }
        opened = {}
        for kind, url in urls.items():
            engine = open_engine(url)
            migrate(engine)
            engine.dispose()
            opened[kind] = SqlStore(url, "memory://")
            stack.callback(opened[kind].close)
        yield opened


def record(url: str, store: SqlStore, count: int, samples: Samples) -> None:
    """Have all that was published committed and acknowledged."""
    place = Place(url)
    publish(url, place, count)
    recorded = [0]

    @contextmanager
    def recording() -> Iterator[Any]:
        seen = 0
        with store.recording() as tx:
            before = tx.observe

            def observe(source: str, records: Any, messages: Any = None) -> None:
                nonlocal seen
                before(source, records, messages)
                seen += len(records)

            tx.observe = observe  # type: ignore[method-assign]
            yield tx
        # Committed, and not only written.
        recorded[0] += seen

    station = Station(place, "bench", recording, Redaction(), SystemClock(), lambda name: None)
    with samples.taking(count):
        station.start()
        eventually(lambda: recorded[0] >= count, harness.DEADLINE_S, every_s=0.01)
    station.stop()
    # It would take some of the next ones.
    eventually(lambda: station.name not in {each.name for each in threading.enumerate()})
    with Connection(url) as connection:
        # The last batch, if its acknowledgement was under way when the station stopped.
        connection.default_channel.queue_purge(place.queue)


def waiting(connection: Connection, queue: str) -> int:
    found: int = connection.default_channel.queue_declare(queue, passive=True).message_count
    return found


def publish(url: str, place: Place, count: int) -> None:
    """As Celery does it, but for the ids."""
    topic = Exchange(place.exchange, type="topic")
    app = Celery("bench", set_as_current=False)
    made = app.amqp.as_task_v2(
        "ID", "mail.send", ("ann@example.com", "Your order", {"order": 4711}), {"copies": [1, 2]}
    )
    body = json.dumps(made.body)
    with Connection(url) as connection:
        channel = connection.default_channel
        Queue(place.queue, topic, routing_key="#")(channel).declare()
        producer = Producer(channel, exchange=topic)
        for _ in range(count):
            id = str(uuid4())
            producer.publish(
                body,
                routing_key="mail",
                headers={**made.headers, "id": id, "root_id": id},
                content_type="application/json",
                content_encoding="utf-8",
                **{**made.properties, "correlation_id": id},
            )
        eventually(lambda: waiting(connection, place.queue) == count, harness.DEADLINE_S)


def take_events(url: str, count: int, samples: Samples) -> None:
    app = Celery("bench", broker=url, set_as_current=False)
    # Else they are gone before all have been published.
    app.conf.update(
        event_queue_ttl=harness.DEADLINE_S,
        event_queue_expires=harness.DEADLINE_S,
        event_queue_exclusive=False,
        event_queue_durable=True,
    )
    state = EventsState(max_tasks_in_memory=10_000)
    with Connection(url) as connection:
        receiver = EventReceiver(connection, handlers={"*": state.event}, app=app)
        channel = connection.default_channel
        receiver.queue(channel).declare()
        producer = Producer(channel, exchange=Exchange(EVENT_EXCHANGE, type="topic"))
        for clock in range(count):
            producer.publish(event(clock), routing_key="task.received", serializer="json")
        name = receiver.queue.name
        eventually(lambda: waiting(connection, name) == count, harness.DEADLINE_S)
        with samples.taking(count):
            receiver.capture(limit=count, timeout=harness.DEADLINE_S, wakeup=False)


def event(clock: int) -> dict[str, Any]:
    return {
        "type": "task-received",
        "uuid": str(uuid4()),
        "name": "mail.send",
        "args": "('ann@example.com', 'Your order', {'order': 4711})",
        "kwargs": "{'copies': [1, 2]}",
        "root_id": None,
        "parent_id": None,
        "retries": 0,
        "eta": None,
        "expires": None,
        "hostname": "w1@host",
        "timestamp": time.time(),
        "utcoffset": 0,
        "pid": 1,
        "clock": clock,
    }


def report(kind: str, samples: Samples, flower: Samples) -> None:
    title = f"Messages recorded on {kind} beside Flower's events, for a second of"
    for what, ours, theirs in (
        ("one core", samples.of_one_core, flower.of_one_core),
        ("the clock", samples.rates, flower.rates),
    ):
        table = Table(f"{title} {what}", "/s", 0, more_is_better=True)
        table.ours("ours: committed", ours)
        table.peer("asked for", [TARGETS[kind]], 1.0)
        table.peer("Flower: in memory", theirs)
        table.print()


if __name__ == "__main__":
    main()
