"""What the pages cost on a branch of a thousand instances: time at the server, and size.

The web is the real one, under gunicorn, with its store in a file and in a
PostgreSQL. The thousand were stored with what is seen of them, as if a fifth
did not consume: the process that would look at them is stopped. Time is from the request,
on a connection that is open, until the first byte of the answer; there is no
peer, only limits.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import psutil

from benchmarks import harness
from benchmarks.figures import Table
from cyme_supd.clock import SystemClock
from cyme_supd.config import load
from cyme_supd.domain.audit import ACT, CREATE, INSTANCE, Actor, Event
from cyme_supd.domain.spec import App, Instance, Queue
from cyme_supd.domain.status import Condition, ProcessState, Status
from cyme_supd.store.engine import database_url
from cyme_supd.store.repository import SqlStore
from tests import databases

FIRST_S, FIRST_BYTES, MOST_BYTES = 0.3, 100_000, 200_000
PAGES = {
    "first": "/admin/",
    "instances": "/admin/instances/",
    "instances, page 9": "/admin/instances/?page=9",
    "one instance": "/admin/instances/a0/w0000/",
    "queues": "/admin/queues/",
    "decisions": "/admin/decisions/",
    "audit": "/admin/audit/",
}
APPS, QUEUES, EVENTS = 10, 2, 1000
CONDITIONS = ("Ready", "Converged", "Consuming", "Progressing")


@dataclass
class Samples:
    seconds: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    #: Of one request, on average.
    processor_s: float = 0.0


def main() -> None:
    numbers = harness.wanted(__doc__, pairs=20, instances=1000)
    for store, words in (("a file", None), ("PostgreSQL", databases.POSTGRESQL)):
        with prepared(numbers["instances"], words) as branch:
            samples = {
                name: measured(branch, path, numbers["pairs"]) for name, path in PAGES.items()
            }
        for name, found in samples.items():
            report(f"{name}, {numbers['instances']} instances in {store}", name, found)


def measured(branch: harness.Branch, path: str, count: int) -> Samples:
    found, web = Samples(), _web(branch)
    line = http.client.HTTPConnection("127.0.0.1", branch.port, timeout=harness.DEADLINE_S)
    # The first makes the templates.
    for _ in range(3):
        _get(line, path)
    config = load(branch.paths.root)
    store = SqlStore(database_url(config), config.broker, branch=config.id)
    before = _processor_s(web)
    for _ in range(count):
        # Nothing that was seen before is good any more.
        with store.writing() as tx:
            tx.save_branch(tx.branch(config.id))
        seconds, size = _get(line, path)
        found.seconds.append(seconds)
        found.sizes.append(size)
    found.processor_s = (_processor_s(web) - before) / count
    line.close()
    store.close()
    return found


def _web(branch: harness.Branch) -> list[psutil.Process]:
    """The processes that serve."""
    family = psutil.Process(branch.process.pid).children(recursive=True)
    web = [each for each in family if "cyme_supd.branch.web" in " ".join(each.cmdline())]
    return [each for each in web if not each.children()]


def _processor_s(processes: list[psutil.Process]) -> float:
    return sum(sum(each.cpu_times()[:2]) for each in processes)


def _get(line: http.client.HTTPConnection, path: str) -> tuple[float, int]:
    begun_at = time.monotonic()
    line.request("GET", path)
    answer = line.getresponse()
    seconds = time.monotonic() - begun_at
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {body[:500]!r}")
    return seconds, len(body)


@contextmanager
def prepared(count: int, kind: str | None) -> Iterator[harness.Branch]:
    with (
        harness.valkey() as broker,
        _database(kind) as words,
        harness.branch(broker, *words) as branch,
    ):
        _stop_looking(branch)
        config = load(branch.paths.root)
        store = SqlStore(database_url(config), config.broker, branch=config.id)
        fill(store, config.id, count)
        store.close()
        yield branch


@contextmanager
def _database(kind: str | None) -> Iterator[tuple[str, ...]]:
    if kind is None:
        yield ()
        return
    with databases.server(kind) as server, server.database() as url:
        yield ("--database", url)


def _stop_looking(branch: harness.Branch) -> None:
    conf = str(branch.paths.root / "supervisord.conf")
    control = str(Path(sys.executable).with_name("supervisorctl"))
    subprocess.run([control, "-c", conf, "stop", "cyme:branch"], check=True, capture_output=True)


def fill(store: SqlStore, branch: str, count: int) -> None:
    at = SystemClock().now()
    with store.writing() as tx:
        for app in (f"a{number}" for number in range(APPS)):
            tx.add_app(App(app, at))
            for queue in (f"q{number}" for number in range(QUEUES)):
                tx.add_queue(Queue(app, queue, queue, "direct", queue, {}, at))
        names = [(f"a{number % APPS}", f"w{number:04}") for number in range(count)]
        for app, name in names:
            tx.add_instance(Instance(name, app, branch, at, queues=("q0", "q1")))
        tx.save_statuses(_status(name, at) for _, name in names)
        # So that it is believed for as long as this takes.
        seen = replace(tx.branch(branch), observed_at=at, sup_interval=3600.0)
        tx.save_branch(seen)
        tx.save_audit(_event(number, names[number % count], at) for number in range(EVENTS))


def _status(name: str, at: datetime) -> Status:
    is_well = bool(int(name[1:]) % 5)
    conditions = (
        Condition(each, is_well or each != "Consuming", "Answers", "as it should be", at)
        for each in CONDITIONS
    )
    return Status(
        name, 1, ProcessState.RUNNING, 4711, True, True, (1, 1), ("q0", "q1"), tuple(conditions)
    )


def _event(number: int, of: tuple[str, str], at: datetime) -> Event:
    actor = Actor("boris", "192.0.2.7", "curl/8")
    after = {"action": "start", "reason": "it does not run"} if number % 2 else {"pool": "solo"}
    verb, (app, name) = ACT if number % 2 else CREATE, of
    at += timedelta(microseconds=number)
    return Event(at, actor, "b1", verb, INSTANCE, app, name, None, after)


def report(title: str, name: str, found: Samples) -> None:
    table = Table(f"page: {title}", digits=3)
    table.ours("until it comes", found.seconds)
    table.part("  of that its processor, on average", [found.processor_s])
    if name == "first":
        table.limit("limit", FIRST_S)
    table.print()
    sizes = Table(f"page: {title}", "kB", 1)
    sizes.ours("how much of it", [size / 1000 for size in found.sizes])
    sizes.limit("limit", (FIRST_BYTES if name == "first" else MOST_BYTES) / 1000)
    sizes.print()


if __name__ == "__main__":
    main()
