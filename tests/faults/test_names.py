"""One name asked for through two branches at once: one of them makes it, the other says why not."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.acceptance.harness import BranchHost, unique
from tests.faults.rows import RUNS, Hit, Row
from tests.support import eventually

pytestmark = [pytest.mark.rows, pytest.mark.timeout(3000)]
#: Of a request that is stored, and of one that lost.
MADE, LOST = 202, 409


@pytest.fixture
def hosts(broker_url: str | None) -> Iterator[tuple[BranchHost, BranchHost]]:
    """Two branches of one fleet, at one broker."""
    fleet = unique("fleet")
    with BranchHost("-i", "one", broker=broker_url, fleet=fleet) as one:
        one.start()
        with BranchHost("-i", "two", broker=broker_url or one.broker, fleet=fleet) as two:
            two.start()
            eventually(lambda: one.get("/branches/") == two.get("/branches/") == ["one", "two"])
            one.post("/foo/", 201)
            yield one, two


@pytest.mark.faults
def test_asked_for_at_once(hosts: tuple[BranchHost, BranchHost], broker_name: str) -> None:
    row = Row("one name, asked for on two branches", broker_name, 5, 30)
    answers: Counter[tuple[int, ...]] = Counter()
    with ThreadPoolExecutor(2) as pool:
        for number in range(max(1, RUNS * 10 // 3)):
            name, hit = unique("n"), Hit.now()
            said = ask_both(pool, hosts, name, number)
            answers[said] += 1
            row.seconds.append(round(Hit.now().since - hit.since, 3))
            row.violations += [f"run {number}: {each}" for each in wrong(hosts, name, said)]
            hosts[0].client.delete(f"/foo/instances/{name}/", params={"force": 1})
            eventually(lambda name=name: not owners(hosts, name), 30)
    told = ", ".join(f"{' and '.join(map(str, said))}: {n}" for said, n in sorted(answers.items()))
    row.note = f"answers {told}"
    row.check()


def ask_both(
    pool: ThreadPoolExecutor, hosts: tuple[BranchHost, BranchHost], name: str, number: int
) -> tuple[int, ...]:
    """The statuses of both, the smaller first. Each wants it on its own branch."""
    gate = threading.Barrier(2)

    def ask(host: BranchHost) -> int:
        gate.wait()
        values = {"branch": host.id, "max_concurrency": 1 + number % 2}
        return host.client.post(f"/foo/instances/!/{name}/", json=values).status_code

    return tuple(sorted(pool.map(ask, hosts)))


def wrong(hosts: tuple[BranchHost, BranchHost], name: str, said: tuple[int, ...]) -> Iterator[str]:
    if said != (MADE, LOST):
        yield f"answers {said}"
    made = owners(hosts, name)
    if len(made) != said.count(MADE):
        yield f"{name} is on {made}"


def owners(hosts: tuple[BranchHost, BranchHost], name: str) -> list[str]:
    """The branches that have it in their stores, or a worker of that name."""
    return [host.id for host in hosts if name in stored(host) or host.mains(name)]


def stored(host: BranchHost) -> set[str]:
    where = f"file:{host.root}/branch.db?mode=ro"
    with closing(sqlite3.connect(where, uri=True, timeout=10)) as rows:
        return {name for (name,) in rows.execute("SELECT name FROM instance")}
