"""How long the first page of each filter of the record of tasks takes, on PostgreSQL.

There are 1,000,000 tasks, unless ``--tasks`` says how many: of 30 days, of 200 names,
10 queues and 50 workers; one in twenty has failed, in one of 40 ways. Each filter
is asked for as somebody would: for what there is much of, for what there is little of,
and for what is not there at all; each by a transaction of its own. What is beyond
5,000 tasks is left to the next page, which says so.
"""

from __future__ import annotations

import random
import resource
import time
from typing import Any

from benchmarks import harness
from benchmarks.figures import ENOUGH_PAIRS, Table
from cyme_supd.domain.ledger import Record, merge, observed
from cyme_supd.domain.ledgerstore import TaskQuery
from cyme_supd.store.engine import open_engine
from cyme_supd.store.migrations import migrate
from cyme_supd.store.repository import SqlStore
from tests import databases

TASKS, BATCH, SOURCE = 1_000_000, 2000, "bench"
MOST_MS = 100.0
DAYS_S = 30 * 86400.0
WORDS = ["invoice", "order", "parcel", "letter", "refund", "reminder", "report", "image", "import"]
END = 1_800_000_000.0
FILTERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("none", {}),
    ("name", {"name": "shop.task7"}),
    ("state: many", {"state": "SUCCESS"}),
    ("state: few", {"state": "FAILURE"}),
    ("state: none", {"state": "STARTED"}),
    ("worker", {"worker": "w7@host"}),
    ("queue", {"queue": "queue3"}),
    ("time", {"since": END - DAYS_S / 2, "until": END - DAYS_S / 2 + 600}),
    ("argument text: many", {"text": "invoice"}),
    ("argument text: few", {"text": "'number': 777777"}),
    ("argument text: none", {"text": "nowhere to be found"}),
    ("name, state and text", {"name": "shop.task7", "state": "FAILURE", "text": "parcel"}),
    ("worker, queue and state", {"worker": "w7@host", "queue": "queue3", "state": "FAILURE"}),
    ("exception", {"error": "Error7"}),
)


def main() -> None:
    numbers = harness.wanted(__doc__, pairs=ENOUGH_PAIRS, tasks=TASKS)
    count, rounds = numbers["tasks"], range(numbers["pairs"])
    with databases.server(databases.POSTGRESQL) as server, server.database() as url:
        engine = open_engine(url, 60.0)
        migrate(engine)
        store = SqlStore(url, "memory://", busy_timeout_s=60.0)
        fill(store, count)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE ledger")
        for name, wanted in FILTERS:
            report(f"First page by {name}", [page(store, wanted) for _ in rounds])
        report("Alike exceptions", [groups(store) for _ in rounds])
        store.close()
        engine.dispose()


def fill(store: SqlStore, count: int) -> None:
    begun, chance = time.perf_counter(), random.Random(4711)
    sizes = []
    for start in range(0, count, BATCH):
        records = [task(chance, n, count) for n in range(start, min(start + BATCH, count))]
        with store.recording() as tx:
            tx.observe(SOURCE, records)
        if start * 10 // count != (start - BATCH) * 10 // count:
            sizes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    took_s = time.perf_counter() - begun
    print(f"{count} tasks stored in {took_s:.0f} s; most memory so far, MB: {sizes}\n", flush=True)


def task(chance: random.Random, n: int, count: int) -> Record:
    id, at = f"{chance.getrandbits(128):032x}", END - DAYS_S + DAYS_S * n / count
    words = " ".join(chance.choices(WORDS, k=4))
    sent = observed(
        id,
        at,
        "SENT",
        0,
        name=f"shop.task{chance.randrange(200)}",
        routing_key=f"queue{chance.randrange(10)}",
        args=f"('{words}',)",
        kwargs=f"{{'number': {n}}}",
        producer="gen1@host",
        exchange="task_exchange",
        root=id,
    )
    worker = f"w{chance.randrange(50)}@host"
    if chance.random() < 0.05:
        error = f"Error{chance.randrange(40)}('{words}')"
        return merge(sent, observed(id, at + 2, "FAILURE", 0, worker=worker, error=error))
    return merge(sent, observed(id, at + 2, "SUCCESS", 0, worker=worker, result="None"))


def page(store: SqlStore, wanted: dict[str, Any]) -> float:
    begun = time.perf_counter()
    with store.reading() as view:
        view.tracked(TaskQuery(**wanted))
    return (time.perf_counter() - begun) * 1e3


def groups(store: SqlStore) -> float:
    begun = time.perf_counter()
    with store.reading() as view:
        view.tracked_errors(TaskQuery())
    return (time.perf_counter() - begun) * 1e3


def report(title: str, samples: list[float]) -> None:
    table = Table(title, "ms", 1)
    table.ours("ours", samples)
    table.limit("limit", MOST_MS)
    table.print()


if __name__ == "__main__":
    main()
