"""What it takes to ask one branch of ten about all.

The one that is asked is a whole branch; of the nine others everything is real
by which they answer it (``standing.py``), each a process of its own with a
hundred instances. ``GET /foo/instances/`` is timed over HTTP until all thousand
names are there, and beside it a detail and a change of an instance on another
branch than the one asked, and on that one itself. The peer of a list is Celery's
``inspect``, which asks ten real workers what they consume: with the second
that it waits by default, and told how many answers to wait for.

``--new`` times making instances, too: ready on the branch that is asked, and
through it on another whole branch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from celery import Celery

from benchmarks import harness, peers, standing
from benchmarks.bench_fleet import ending
from benchmarks.bench_fleet import start as start_workers
from benchmarks.figures import Table
from cyme_supd.config import load
from cyme_supd.store.engine import database_url
from cyme_supd.store.repository import SqlStore
from tests import databases
from tests.support import eventually

BRANCHES = 10
INSTANCES = 1000
LIST_S = 0.05
#: Of ours for one of the peer, which waits a second.
ASKS = 20
HERE, THERE = "b00", "z00"
CLOSE_TO = 1.3


@dataclass(frozen=True)
class Samples:
    """Seconds."""

    lists: list[float] = field(default_factory=list)
    details: list[float] = field(default_factory=list)
    details_here: list[float] = field(default_factory=list)
    edits: list[float] = field(default_factory=list)
    edits_here: list[float] = field(default_factory=list)
    waiting: list[float] = field(default_factory=list)
    counting: list[float] = field(default_factory=list)
    new: list[float] = field(default_factory=list)
    new_here: list[float] = field(default_factory=list)


def main() -> None:
    numbers = harness.wanted(
        __doc__, pairs=10, branches=BRANCHES, instances=INSTANCES, asks=ASKS, new=3
    )
    for (name, broker), has_database in itertools.product(harness.BROKERS.items(), (False, True)):
        samples = Samples()
        with ExitStack() as stack:
            url = stack.enter_context(broker())
            database = stack.enter_context(_postgresql()) if has_database else ""
            _measure(stack, url, database, numbers, samples)
        report(f"{name}, {'one PostgreSQL' if has_database else 'a store each'}", numbers, samples)


@contextmanager
def _postgresql() -> Iterator[str]:
    with databases.server(databases.POSTGRESQL) as server, server.database() as url:
        yield url


def _measure(
    stack: ExitStack, broker: str, database: str, numbers: dict[str, int], samples: Samples
) -> None:
    words = ("--database", database) if database else ()
    asked = stack.enter_context(harness.branch(broker, "-i", HERE, *words))
    making(asked, broker, words, numbers["new"], samples)
    ids = [f"b{number:02}" for number in range(1, numbers["branches"])]
    each = numbers["instances"] // numbers["branches"]
    fill(asked, each)
    stack.enter_context(standing.beside(asked, ids, each))
    everything = each * numbers["branches"]
    eventually(lambda: len(_names(asked)) == everything, harness.DEADLINE_S)
    with celery_workers(broker, numbers["branches"]) as inspected:
        for number in range(numbers["pairs"]):
            for ask in range(numbers["asks"]):
                one_round(asked, everything, ids, number * numbers["asks"] + ask, samples)
            samples.waiting.append(harness.timed(lambda: inspected(None)))
            samples.counting.append(harness.timed(lambda: inspected(numbers["branches"])))


def one_round(
    asked: harness.Branch, everything: int, ids: list[str], number: int, samples: Samples
) -> None:
    def listed() -> None:
        found = _names(asked)
        if len(found) != everything:
            raise RuntimeError(f"{len(found)} of {everything} instances are listed")

    other = standing.named(ids[number % len(ids)], number % 50)
    own = standing.named(HERE, number % 50)
    samples.lists.append(harness.timed(listed))
    for name, details, edits in (
        (other, samples.details, samples.edits),
        (own, samples.details_here, samples.edits_here),
    ):
        details.append(harness.timed(partial(asked.ask, "GET", f"/foo/instances/{name}/")))
        edit = partial(asked.ask, "PUT", f"/foo/instances/!/{name}/", stop_timeout_s=100 + number)
        edits.append(harness.timed(edit))


def _names(asked: harness.Branch) -> list[str]:
    found: list[str] = asked.ask("GET", "/foo/instances/")
    return found


def fill(asked: harness.Branch, count: int) -> None:
    config = load(asked.paths.root)
    store = SqlStore(database_url(config), config.broker, branch=config.id)
    try:
        standing.fill(store, config.id, count)
    finally:
        store.close()


def making(
    asked: harness.Branch, broker: str, words: tuple[str, ...], count: int, samples: Samples
) -> None:
    """With one whole branch beside the one asked: ready here, and there."""
    with harness.branch(broker, "-i", THERE, *words) as other:
        eventually(lambda: len(asked.ask("GET", "/branches/")) == 2, harness.DEADLINE_S)
        for _ in range(count):
            for id, taken in ((HERE, samples.new_here), (THERE, samples.new)):
                name = f"new-{id}"
                make = _maker(asked, name, id)
                taken.append(harness.timed(make))
                asked.ask("DELETE", f"/foo/instances/{name}/")
        assert other.process.poll() is None


def _maker(asked: harness.Branch, name: str, id: str) -> Callable[[], object]:
    return lambda: asked.ask("PUT", f"/foo/instances/{name}/", branch=id)


@contextmanager
def celery_workers(broker: str, count: int) -> Iterator[Callable[[int | None], None]]:
    """What asks that many real workers, for so many answers or a second long."""
    argv = [
        harness.celery(),
        "-A",
        "peer",
        "worker",
        "-n",
        "x",
        "-Q",
        "x",
        "-P",
        "solo",
        "-l",
        "INFO",
    ]
    with harness.folder() as place, ending() as processes:
        peers.write_app(place, broker)
        start_workers(argv, [f"s{number}" for number in range(count)], Path(place), processes)
        app = Celery("peer", broker=broker)

        def ask(limit: int | None) -> None:
            found = app.control.inspect(limit=limit).active_queues() or {}
            if len(found) != count:
                raise RuntimeError(f"{len(found)} of {count} workers have answered")

        ask(None)
        yield ask
        app.close()


def report(where: str, numbers: dict[str, int], samples: Samples) -> None:
    table = Table(f"all instances of {numbers['branches']} branches, {where}")
    table.ours("ours: GET /foo/instances/", samples.lists)
    table.part("  99 of 100 are below", [late(samples.lists)])
    table.limit("limit", LIST_S)
    table.peer("inspect active_queues", samples.waiting)
    table.peer("inspect, told how many", samples.counting)
    table.print()
    compared("details of an instance", where, samples.details, samples.details_here)
    compared("PUT of an instance, not waiting", where, samples.edits, samples.edits_here)
    compared("a new instance until it is ready", where, samples.new, samples.new_here, CLOSE_TO)


def compared(
    title: str, where: str, there: list[float], here: list[float], target: float | None = None
) -> None:
    table = Table(f"{title}, {where}", digits=4)
    table.ours("ours: through another branch", there)
    table.part("  99 of 100 are below", [late(there)])
    table.peer("on the branch that is asked", here, target)
    table.print()


def late(samples: list[float]) -> float:
    return sorted(samples)[int(0.99 * (len(samples) - 1))]


if __name__ == "__main__":
    main()
