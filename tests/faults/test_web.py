"""Clients that are slow, or too many: others are served, and workers kept, as ever."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
import pytest

from tests.faults.conftest import a_fleet
from tests.faults.fleet import Fleet
from tests.faults.rows import RUNS, Hit, Row, repeat, summary
from tests.faults.slow import descriptors, drip, slow_sockets
from tests.support import eventually, let_pass

pytestmark = [pytest.mark.rows, pytest.mark.timeout(1800)]
SOCKETS = 500
FLOODERS = 16
#: Requests a second; the other client that asks, needs less.
LIMIT = 40
#: Where those come from who flood.
ELSEWHERE = "127.0.0.2"


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
    with a_client(fleet) as client:
        begun_at = time.monotonic()
        assert client.get("/yard/instances/w1/").status_code == 200
    return time.monotonic() - begun_at


@contextmanager
def a_client(fleet: Fleet, address: str = "127.0.0.1") -> Iterator[httpx.Client]:
    transport = httpx.HTTPTransport(local_address=address)
    url = fleet.host.client.base_url
    with httpx.Client(base_url=url, timeout=30, transport=transport) as client:
        yield client


@pytest.fixture(scope="module")
def limited(broker_url: str | None, yard: Path) -> Iterator[Fleet]:
    """A fleet whose branch is asked no more than so often by one client."""
    with a_fleet(yard, "--api-rate", str(LIMIT), broker=broker_url) as fleet:
        yield fleet


@dataclass
class Flood:
    """As many requests as go, changes among them, for so many *seconds* each time.

    Those of *aside* are another client's, who asks now and then.
    """

    fleet: Fleet
    seconds: float
    took: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    aside: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)

    def run(self, number: int) -> Hit:
        done = threading.Event()
        most = 2 + number % 3
        self.fleet.wanted["w3"].limits = (most, 1)
        threads = [threading.Thread(target=self._pour, args=(most, done)) for _ in range(FLOODERS)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            self.aside.append(ask(self.fleet))
            self.lags.append(lag(self.fleet))
            let_pass(0.1)
        done.set()
        for thread in threads:
            thread.join()
        return Hit.now()

    def _pour(self, most: int, done: threading.Event) -> None:
        change = {"max": most, "min": 1, "timeout": 0}
        with a_client(self.fleet, ELSEWHERE) as client:
            while not done.is_set():
                for method, path, body in (
                    ("GET", "/yard/instances/w1/", None),
                    ("GET", "/yard/instances/", None),
                    ("POST", "/yard/instances/w3/autoscale/", change),
                ):
                    begun_at = time.monotonic()
                    self.statuses[client.request(method, path, json=body).status_code] += 1
                    self.took.append(time.monotonic() - begun_at)


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.faults)])
def test_a_flood(fleet: Fleet, broker_name: str, seconds: int) -> None:
    """Passes go on at their interval."""
    flood = Flood(fleet, seconds)
    row = Row(f"API flooded for {seconds} s", broker_name, 15, 20)
    account(repeat(row, fleet, flood.run, runs_of(seconds)), flood)


@pytest.mark.faults
@pytest.mark.parametrize("seconds", [10, 60])
def test_a_flood_of_one_client(limited: Fleet, broker_name: str, seconds: int) -> None:
    """It is refused what is too much; others are served, and passes go on."""
    flood = Flood(limited, seconds)
    row = Row(f"API flooded for {seconds} s, at most {LIMIT}/s", broker_name, 15, 20)
    repeat(row, limited, flood.run, runs_of(seconds))
    served = (len(flood.took) - flood.statuses[429]) / (len(row.seconds) * seconds)
    if not flood.statuses[429] or served > 2 * LIMIT:
        row.violations.append(f"served {served:.0f}/s: {flood.statuses}")
    account(row, flood)


def runs_of(seconds: int) -> int:
    return max(1, RUNS // 10) if seconds == 60 else RUNS


def account(row: Row, flood: Flood) -> None:
    rate = len(flood.took) / (len(row.seconds) * flood.seconds)
    row.note = "{:.0f} requests/s: p50 {:.3f}, p99 {:.3f}, max {:.3f} s".format(
        rate, *summary(flood.took)
    )
    if flood.statuses[429]:
        row.note += f", {flood.statuses[429] / len(flood.took):.0%} refused"
    row.note += "; another client: p50 {:.3f}, p99 {:.3f}, max {:.3f} s".format(
        *summary(flood.aside)
    )
    row.note += f"; oldest pass {max(flood.lags):.1f} s"
    if max(flood.lags) > 5 or flood.statuses.keys() - {200, 202, 408, 409, 429}:
        row.violations.append(f"{row.note}; {flood.statuses}")
    row.check()


def lag(fleet: Fleet) -> float:
    """Seconds since the last pass of the reconciler, as it is stored."""
    database = fleet.host.root / "branch.db"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as store:
        ((text,),) = store.execute("select observed_at from branch").fetchall()
    observed_at = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return (datetime.now(UTC) - observed_at).total_seconds()
