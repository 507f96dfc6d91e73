"""Clients that are slow, or too many: others are served, and workers kept, as ever."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import mean

import httpx
import psutil
import pytest

from tests.faults.conftest import a_fleet
from tests.faults.fleet import Fleet
from tests.faults.pouring import ELSEWHERE, poured
from tests.faults.rows import RUNS, Hit, Row, repeat, summary
from tests.faults.slow import descriptors, drip, slow_sockets
from tests.streams import Stream
from tests.support import eventually, let_pass

pytestmark = [pytest.mark.rows, pytest.mark.timeout(1800)]
SOCKETS = 500
STREAMS = 40
FLOODERS = 16
#: Requests a second; the other client that asks, needs less.
LIMIT = 40
#: Requests a second that come when many do.
THOUSAND = 1000
#: So much longer than before may it take from one pass to the next.
GROWTH = 1.2


@pytest.mark.parametrize(
    ("where", "seconds"),
    [
        ("api", 2),
        pytest.param("supervisord", 2, marks=pytest.mark.faults),
        pytest.param("api", 60, marks=pytest.mark.faults),
    ],
)
def test_slow_sockets(fleet: Fleet, broker_name: str, where: str, seconds: int) -> None:
    took: list[float] = []
    address = ("127.0.0.1", fleet.host.port)
    target = address if where == "api" else str(fleet.host.root / "supervisord.sock")

    def crowd(number: int) -> Hit:
        before = held(fleet)
        with slow_sockets(target, SOCKETS) as sockets:
            until = time.monotonic() + (5 if seconds < 5 < RUNS else seconds)
            while time.monotonic() < until:
                took.append(ask(fleet))
                drip(sockets)
            assert fleet.scale(f"w{1 + number % 3}", timeout=0)
        hit = Hit.now()
        eventually(lambda: held(fleet) <= before + 20, 30)
        return hit

    long = f" for {seconds} s" if seconds > 5 else ""
    row = Row(f"{SOCKETS} slow sockets at the {where}{long}", broker_name, 15, 19)
    repeat(row, fleet, crowd, runs_of(seconds))
    row.note = "answers: p50 {:.3f}, p99 {:.3f}, max {:.3f} s".format(*summary(took))
    if summary(took)[1] > 1:
        row.violations.append(row.note)
    row.check()


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.faults)])
def test_streams(fleet: Fleet, broker_name: str, seconds: int) -> None:
    """Those beyond what may be are refused; all others hear of each change."""
    took: list[float] = []
    heard: list[int] = []

    def listen(number: int) -> Hit:
        with a_client(fleet, ELSEWHERE) as client, ExitStack() as stack:
            streams = [stack.enter_context(Stream(client, "/api/events/")) for _ in range(STREAMS)]
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                took.append(ask(fleet))
                let_pass(0.05)
            assert fleet.scale(f"w{1 + number % 3}", timeout=0)
            opened = [each for each in streams if each.answer.status_code == 200]
            assert {each.answer.status_code for each in streams} <= {200, 503}
            heard.append(len(opened))
            for each in opened:
                # It ends by itself after a minute.
                eventually(lambda each=each: len(each.events) > 1 or each.has_ended)
        return Hit.now()

    row = Row(f"{STREAMS} event streams for {seconds} s", broker_name, 15, 19)
    repeat(row, fleet, listen, runs_of(seconds))
    row.note = f"{min(heard)} let in; answers: "
    row.note += "p50 {:.3f}, p99 {:.3f}, max {:.3f} s".format(*summary(took))
    if summary(took)[1] > 1 or min(heard) < STREAMS // 4:
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


@pytest.mark.faults
def test_a_thousand_a_second(limited: Fleet, broker_name: str) -> None:
    """The reconciler hardly notices."""
    before, after, sent = list[float](), list[float](), Counter[int]()

    def flood(number: int) -> Hit:
        before.extend(intervals(limited, 15))
        with poured(limited.host.port, THOUSAND) as statuses:
            after.extend(intervals(limited, 60))
        sent.update(statuses)
        return Hit.now()

    row = Row(f"{THOUSAND} requests/s for 60 s", broker_name, 15, 20)
    repeat(row, limited, flood, runs_of(60))
    rate = sent.total() / (len(row.seconds) * 60)
    growth = mean(after) / mean(before)
    row.note = (
        f"{rate:.0f} requests/s, {sent[429] / sent.total():.0%} refused;"
        f" from pass to pass {mean(before):.3f} s before, {mean(after):.3f} s then ({growth:.2f}x)"
    )
    if growth > GROWTH or sent.keys() - {200, 429} or sent[200] > 2 * LIMIT * 60 * len(row.seconds):
        row.violations.append(f"{row.note}; {sent}")
    row.check()


def intervals(fleet: Fleet, seconds: float) -> list[float]:
    """How long it was from each pass to the next, for so long."""
    found: list[datetime] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        at = last_pass(fleet)
        if at not in found[-1:]:
            found.append(at)
        let_pass(0.05)
    return [(after - before).total_seconds() for before, after in pairwise(found)]


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
    return (datetime.now(UTC) - last_pass(fleet)).total_seconds()


def last_pass(fleet: Fleet) -> datetime:
    database = fleet.host.root / "branch.db"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as store:
        ((text,),) = store.execute("select observed_at from branch").fetchall()
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
