"""Somebody else holds the database's lock: changes are refused, nothing is concluded."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance import processes
from tests.faults.fleet import Fleet
from tests.faults.rows import RUNS, Hit, Row, repeat, summary

pytestmark = [pytest.mark.rows, pytest.mark.timeout(3000)]


@pytest.mark.faults
@pytest.mark.parametrize("seconds", [7, 30])
def test_locked(fleet: Fleet, broker_name: str, seconds: int) -> None:
    answers: Counter[int] = Counter()
    took: list[float] = []

    def lock(number: int) -> Hit:
        # Each in its turn: while nothing can be stored nobody sees that it is up again.
        victim = f"w{1 + number % 3}"
        fleet.ripen(victim)
        with held(fleet.host.root / "branch.db"):
            until = time.monotonic() + seconds
            processes.kill(fleet.pids()[victim])
            while time.monotonic() < until:
                answers[change(fleet)] += 1
                took.append(read(fleet))
        return Hit.now(victim)

    runs = max(1, RUNS // 3) if seconds == 30 else RUNS
    row = Row(f"database locked for {seconds} s", broker_name, 10, 10)
    repeat(row, fleet, lock, runs)
    row.note = f"changes: {dict(answers)}; reads: p99 {summary(took)[1]:.3f} s"
    if set(answers) - {503} or summary(took)[2] > 1:
        row.violations.append(row.note)
    row.check()


def change(fleet: Fleet) -> int:
    """The answer's status; one that is refused says when to try again."""
    response = fleet.host.client.post("/yard/instances/w1/autoscale/", json={"max": 2, "min": 1})
    if response.status_code == 503:
        assert response.json()["error"]["code"] == "unavailable"
        assert int(response.headers["Retry-After"]) > 0
    else:
        fleet.wanted["w1"].limits = (2, 1)
    return response.status_code


def read(fleet: Fleet) -> float:
    begun_at = time.monotonic()
    assert fleet.host.client.get("/yard/instances/").status_code == 200
    return time.monotonic() - begun_at


@contextmanager
def held(database: Path) -> Iterator[None]:
    """Its write lock, in this process' hands."""
    connection = sqlite3.connect(database, timeout=10, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()
