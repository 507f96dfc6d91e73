"""The broker is killed, wiped or hangs while tasks and changes come in."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import redis

from tests.acceptance.outages import Broker, Embedded, Rabbit
from tests.faults.conftest import EMBEDDED, RABBITMQ, a_fleet
from tests.faults.fleet import Fleet
from tests.faults.rows import RUNS, Hit, Row, repeat, summary
from tests.faults.yard import Work
from tests.support import eventually, let_pass

pytestmark = [pytest.mark.rows, pytest.mark.faults, pytest.mark.timeout(4000)]
#: A worker tries again after 2, 4, 6 ... 30 seconds.
BACK_WITHIN_S = 35.0


class KilledEmbedded(Embedded):
    """Killed, and kept from being started again at once."""

    def take(self, host: object) -> None:
        pid = host.pid("cyme:broker")  # type: ignore[attr-defined]
        os.kill(pid, signal.SIGKILL)
        super().take(host)  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=[EMBEDDED, RABBITMQ])
def own(request: pytest.FixtureRequest) -> Broker:
    if request.param == EMBEDDED:
        return KilledEmbedded()
    return Rabbit(request.getfixturevalue("own_rabbitmq"))


@pytest.fixture(scope="module")
def harmed(own: Broker, yard: Path) -> Iterator[Fleet]:
    with a_fleet(yard, broker=own.url) as fleet:
        yield fleet


def name_of(own: Broker) -> str:
    return EMBEDDED if own.url is None else RABBITMQ


@pytest.mark.parametrize("seconds", [1, 10, 60])
def test_killed(harmed: Fleet, own: Broker, seconds: int, tmp_path: Path) -> None:
    work = Work(tmp_path / "notes")

    def kill(number: int) -> Hit:
        for task in ("early", "again"):
            work.send(harmed.host.broker, "tasks", task, 3, 0.2)
        own.take(harmed.host)
        with asking(harmed, number):
            let_pass(seconds)
            own.give(harmed.host)
        return Hit.now("cyme:broker")

    # One that takes longer gets fewer runs: they say the same.
    runs = max(1, RUNS // 3) if seconds == 60 else RUNS
    row = Row(f"broker killed, back after {seconds} s", name_of(own), BACK_WITHIN_S, 7)
    finish(repeat(row, harmed, kill, runs), work)


def test_hung(harmed: Fleet, own: Broker, tmp_path: Path) -> None:
    work = Work(tmp_path / "notes")
    took: list[float] = []

    def freeze(number: int) -> Hit:
        work.send(harmed.host.broker, "tasks", "again", 3, 0.2)
        own.freeze(harmed.host)
        try:
            with asking(harmed, number) as seconds:
                let_pass(8)
        finally:
            own.thaw(harmed.host)
        took.extend(seconds)
        return Hit.now()

    row = Row("broker hangs for 8 s", name_of(own), BACK_WITHIN_S, 8)
    repeat(row, harmed, freeze)
    row.note = "reads: p50 {:.3f}, p99 {:.3f}, max {:.3f} s".format(*summary(took))
    if summary(took)[1] > 1:
        row.violations.append(row.note)
    finish(row, work)


def test_wiped(harmed: Fleet, own: Broker, tmp_path: Path) -> None:
    """All that it held is gone; what is sent after arrives."""
    work = Work(tmp_path / "notes")

    def wipe(number: int) -> Hit:
        if isinstance(own, Rabbit):
            wipe_rabbitmq(own)
        else:
            with redis.Redis.from_url(harmed.host.broker) as server:
                server.flushall()
        hit = Hit.now()
        harmed.scale(f"w{1 + number % 3}", timeout=0)
        eventually(harmed.is_right, BACK_WITHIN_S)
        work.send(harmed.host.broker, "tasks", "early", 2, 0)
        work.send(harmed.host.broker, "dq.w2", "early", 2, 0)
        return hit

    row = repeat(Row("broker wiped", name_of(own), BACK_WITHIN_S, 9), harmed, wipe)
    finish(row, work)


def wipe_rabbitmq(own: Rabbit) -> None:
    """It comes up as it was installed.

    To delete its virtual host would leave a moment without permissions, and
    Celery ends a worker that is refused in that moment.
    """
    for word in ("stop_app", "reset", "start_app"):
        assert own._own.broker.ctl(word)


def finish(row: Row, work: Work) -> None:
    work.settle(20)
    row.lost, row.again = len(work.lost()), len(work.again())
    if row.lost:
        row.violations.append(f"tasks lost: {sorted(work.lost())}")
    row.check()


@contextmanager
def asking(fleet: Fleet, number: int) -> Iterator[list[float]]:
    """A change, and reads all the time: the seconds that each took."""
    took: list[float] = []
    done = threading.Event()

    def read() -> None:
        with httpx.Client(base_url=fleet.host.client.base_url, trust_env=False) as client:
            while not done.wait(0.05):
                begun_at = time.monotonic()
                client.get("/yard/instances/w1/")
                took.append(time.monotonic() - begun_at)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        fleet.scale(f"w{1 + number % 3}", timeout=0)
        yield took
    finally:
        done.set()
        reader.join()
