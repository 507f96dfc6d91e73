"""Jobs in a database and injectors beside it, without a branch."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import Popen
from typing import Any

from kombu import Connection

from benchmarks import harness
from cyme_supd.config import Config
from cyme_supd.domain.job import Job
from cyme_supd.domain.orders import RUNNER_KEY, answers_queue
from cyme_supd.store.engine import database_url
from cyme_supd.store.migrations import migrate
from cyme_supd.store.repository import SqlStore
from tests import databases

QUEUE = "bench_jobs"
SQLITE, POSTGRESQL, MARIADB = "SQLite", "PostgreSQL", "MariaDB"
_KINDS = {POSTGRESQL: databases.POSTGRESQL, MARIADB: databases.MARIADB}
_KEY = os.urandom(32)


@dataclass(frozen=True)
class Bench:
    """A database of its own with the schema, and the broker where runs are ordered."""

    root: Path
    broker: str
    database: str
    store: SqlStore

    def add(self, jobs: Sequence[Job]) -> None:
        with self.store.writing() as tx:
            tx.add_category("bench")
        for start in range(0, len(jobs), 10_000):
            with self.store.writing() as tx:
                tx.add_jobs(jobs[start : start + 10_000])

    @contextmanager
    def injectors(self, count: int) -> Iterator[list[int]]:
        """So many ``cyme-injector``; their pids."""
        words = ["-D", str(self.root), "-b", self.broker, "-l", "WARNING"]
        words += ["--database", self.database] if self.database else []
        argv = [sys.executable, "-m", "cyme_supd.cli.injector", *words]
        started: list[Popen[Any]] = []
        try:
            for number in range(count):
                output = self.root / f"injector{number}.out"
                started.append(harness.start(argv, self.root, output))
            yield [each.pid for each in started]
        finally:
            for each in started:
                harness.end(each)

    def depth(self) -> int:
        """How many orders are in the broker's queue."""
        with Connection(self.broker) as connection:
            channel = connection.default_channel
            return int(channel.queue_declare(QUEUE, passive=True).message_count)

    def forget_queues(self) -> None:
        with Connection(self.broker) as connection:
            for name in (QUEUE, answers_queue(_KEY)):
                connection.default_channel.queue_delete(name)


@contextmanager
def bench(kind: str, broker: str) -> Iterator[Bench]:
    with ExitStack() as stack:
        root = stack.enter_context(harness.folder())
        database = ""
        if kind in _KINDS:
            server = stack.enter_context(databases.server(_KINDS[kind]))
            database = stack.enter_context(server.database())
        config = Config(str(root), "bench", broker, False, "p", database=database)
        config.save()
        store = SqlStore(database_url(config), broker, branch="bench")
        stack.callback(store.close)
        migrate(store.engine)
        with store.writing() as tx:
            tx.share_key(RUNNER_KEY, _KEY.hex())
        made = Bench(root, broker, database, store)
        made.forget_queues()
        stack.callback(made.forget_queues)
        yield made


def each_second(count: int, begins_in_s: float, offset_s: float = 0.0) -> list[Job]:
    """Jobs that are due every second, *offset_s* after it has begun."""
    whole = datetime.now(UTC).replace(microsecond=0)
    at = whole + timedelta(seconds=round(begins_in_s) + offset_s)
    return [due_at(at, "PT1S", f"{offset_s}-{number}") for number in range(count)]


def due_at(at: datetime, step: str, name: str) -> Job:
    schedule = f"R/{at.isoformat().replace('+00:00', 'Z')}/{step}"
    job = Job("bench", name, schedule, at, argv=("true",), routing_key=QUEUE)
    return replace(job, next_fire_at=at, due_at=at)
