"""The broker goes and comes back: the workers stay, and what was asked is done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance import processes
from tests.acceptance.celeryside import ask_worker, worker_pid
from tests.acceptance.harness import BranchHost
from tests.support import eventually

pytestmark = pytest.mark.timeout(120)
OUTAGE_S = 10.0
#: A worker tries again after 2, 4, 6 ... 30 seconds.
BACK_WITHIN_S = 35.0
AT_ONCE_S = 1.0


@pytest.fixture(scope="module")
def host() -> Iterator[BranchHost]:
    """A branch with two workers on a broker of its own."""
    with BranchHost() as host:
        host.start()
        host.post("/foo/", 201)
        for name in ("w1", "w2"):
            host.make("foo", name)
        yield host


def pids(host: BranchHost) -> dict[str, int]:
    return {name: worker_pid(host, name) for name in ("w1", "w2")}


def timed(host: BranchHost, method: str, path: str, status: int, **values: Any) -> Any:
    begun = time.monotonic()
    response = host.client.request(method, path, json=values)
    took_s = time.monotonic() - begun
    assert response.status_code == status, response.text
    assert took_s < AT_ONCE_S, f"{method} {path} took {took_s:.2f} s"
    return response.json()


def is_ill(host: BranchHost) -> bool:
    return host.client.get("/health/").status_code == 503


def test_a_broker_that_is_killed_is_started_again(host: BranchHost) -> None:
    before, broker = pids(host), host.pid("cyme:broker")
    processes.kill(broker)
    eventually(lambda: host.pid("cyme:broker") not in (0, broker), 10)
    eventually(lambda: host.is_ready("foo", "w1") and host.is_ready("foo", "w2"), BACK_WITHIN_S)
    eventually(lambda: pids(host) == before, BACK_WITHIN_S)
    assert {name: host.mains(name) for name in before} == {n: [p] for n, p in before.items()}


def test_an_outage(host: BranchHost) -> None:
    before = pids(host)
    host.supervisorctl("stop", "cyme:broker")
    down_at = time.monotonic()
    eventually(lambda: is_ill(host), 10)
    ask_while_it_is_down(host)
    eventually(lambda: time.monotonic() - down_at > OUTAGE_S, OUTAGE_S + 5)
    assert host.pid("w1") == before["w1"]
    host.supervisorctl("start", "cyme:broker")
    eventually(lambda: is_done(host), BACK_WITHIN_S, every_s=0.2)
    assert host.mains("w1") == [before["w1"]] == [worker_pid(host, "w1")]
    scaler = ask_worker(host, "w1", "stats")["autoscaler"]
    assert (scaler["max"], scaler["min"]) == (3, 1)
    assert host.programs()["w2"].state == "STOPPED"
    assert worker_pid(host, "w3") == host.pid("w3")
    assert host.get("/health/")["ok"] is True


def ask_while_it_is_down(host: BranchHost) -> None:
    """Worker-acting changes are stored; those of the store answer as ever."""
    for path, values in (
        ("/foo/instances/w1/autoscale/", {"max": 3, "min": 1}),
        ("/foo/instances/w2/disable/", {}),
        ("/foo/instances/w3/", {}),
    ):
        said = timed(host, "POST", path, 202, **values)
        assert said["converged"] is False
        assert "broker" in said["reason"]
    assert timed(host, "POST", "/bar/", 201)["name"] == "bar"
    assert timed(host, "POST", "/foo/", 200, stop_timeout_s=30)["stop_timeout_s"] == 30
    assert timed(host, "GET", "/foo/instances/w1/", 200)["is_enabled"] is True
    assert timed(host, "GET", "/foo/instances/w1/stats/", 503)["error"]["code"] == "unavailable"
    assert timed(host, "GET", "/ping/", 200) == {"ok": "pong"}


def is_done(host: BranchHost) -> bool:
    shown = host.get("/foo/instances/w2/")
    if shown["state"] != "STOPPED" or not host.is_ready("foo", "w3"):
        return False
    stats = ask_worker(host, "w1", "stats", timeout_s=0)
    return bool(stats and stats["autoscaler"]["max"] == 3) and host.is_ready("foo", "w1")
