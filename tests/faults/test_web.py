"""Clients that are slow, or too many: others are served, and workers kept, as ever."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime

import httpx
import psutil
import pytest

from tests.faults.fleet import Fleet
from tests.faults.rows import RUNS, Hit, Row, repeat, summary
from tests.faults.slow import descriptors, drip, slow_sockets
from tests.support import eventually, let_pass

pytestmark = [pytest.mark.rows, pytest.mark.timeout(1800)]
SOCKETS = 500
FLOODERS = 16


@pytest.mark.parametrize("where", ["api", pytest.param("supervisord", marks=pytest.mark.faults)])
def test_slow_sockets(fleet: Fleet, broker_name: str, where: str) -> None:
    took: list[float] = []
    address = ("127.0.0.1", fleet.host.port)
    target = address if where == "api" else str(fleet.host.root / "supervisord.sock")

    def crowd(number: int) -> Hit:
        before = held(fleet)
        with slow_sockets(target, SOCKETS) as sockets:
            until = time.monotonic() + (5 if RUNS > 1 else 2)
            while time.monotonic() < until:
                took.append(ask(fleet))
                drip(sockets)
            assert fleet.scale(f"w{1 + number % 3}", timeout=0)
        hit = Hit.now()
        eventually(lambda: held(fleet) <= before + 20, 30)
        return hit

    row = Row(f"{SOCKETS} slow sockets at the {where}", broker_name, 15, 19)
    repeat(row, fleet, crowd)
    row.note = "answers: p50 {:.3f}, p99 {:.3f}, max {:.3f} s".format(*summary(took))
    if summary(took)[1] > 1:
        row.violations.append(row.note)
    row.check()


def held(fleet: Fleet) -> int:
    """Descriptors of the web's processes and of supervisord."""
    assert fleet.host.process is not None
    web = psutil.Process(fleet.pids()["cyme:web"])
    pids = [fleet.host.process.pid, web.pid, *(child.pid for child in web.children())]
    return sum(descriptors(pid) for pid in pids)


def ask(fleet: Fleet) -> float:
    begun_at = time.monotonic()
    with a_client(fleet) as client:
        assert client.get("/yard/instances/w1/").status_code == 200
    return time.monotonic() - begun_at


@contextmanager
def a_client(fleet: Fleet) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=fleet.host.client.base_url, timeout=30, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.faults)])
def test_a_flood(fleet: Fleet, broker_name: str, seconds: int) -> None:
    """As many requests as go, changes among them: passes go on at their interval."""
    took: list[float] = []
    statuses: set[int] = set()
    lags: list[float] = []

    def flood(number: int) -> Hit:
        done = threading.Event()
        arguments = (fleet, number, done, took, statuses)
        threads = [threading.Thread(target=pour, args=arguments) for _ in range(FLOODERS)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            lags.append(lag(fleet))
            let_pass(0.1)
        done.set()
        for thread in threads:
            thread.join()
        return Hit.now()

    runs = max(1, RUNS // 10) if seconds == 60 else RUNS
    row = Row(f"API flooded for {seconds} s", broker_name, 15, 20)
    repeat(row, fleet, flood, runs)
    rate = len(took) / (runs * seconds)
    row.note = "{:.0f} requests/s: p50 {:.3f}, p99 {:.3f}, max {:.3f} s".format(
        rate, *summary(took)
    )
    row.note += f"; oldest pass {max(lags):.1f} s"
    if max(lags) > 5 or statuses - {200, 202, 408, 409, 429}:
        row.violations.append(f"{row.note}; {statuses}")
    row.check()


def pour(
    fleet: Fleet, number: int, done: threading.Event, took: list[float], statuses: set[int]
) -> None:
    most = 2 + number % 3
    fleet.wanted["w3"].limits = (most, 1)
    with a_client(fleet) as client:
        while not done.is_set():
            for method, path, body in (
                ("GET", "/yard/instances/w1/", None),
                ("GET", "/yard/instances/", None),
                ("POST", "/yard/instances/w3/autoscale/", {"max": most, "min": 1, "timeout": 0}),
            ):
                begun_at = time.monotonic()
                statuses.add(client.request(method, path, json=body).status_code)
                took.append(time.monotonic() - begun_at)


def lag(fleet: Fleet) -> float:
    """Seconds since the last pass of the reconciler, as it is stored."""
    database = fleet.host.root / "branch.db"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as store:
        ((text,),) = store.execute("select observed_at from branch").fetchall()
    observed_at = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return (datetime.now(UTC) - observed_at).total_seconds()
