"""Clients that are slow, or too many: others are served, and workers kept, as ever."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psutil
import pytest

from tests.faults.fleet import Fleet
from tests.faults.rows import RUNS, Hit, Row, repeat, summary
from tests.faults.slow import descriptors, drip, slow_sockets
from tests.support import eventually

pytestmark = [pytest.mark.rows, pytest.mark.timeout(1800)]
SOCKETS = 500


@pytest.mark.parametrize("where", ["api", "supervisord"])
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
