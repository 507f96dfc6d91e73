"""How requests end when it is their worker that ends, or is of another kind."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.acceptance.harness import BranchHost, unique
from tests.odd_server import OddServer, odd_server
from tests.support import eventually

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def server() -> Iterator[OddServer]:
    with odd_server() as server:
        yield server


@pytest.fixture
def name(host: BranchHost) -> Iterator[str]:
    """What a worker and its queue are called."""
    name = unique("w")
    host.client.post("/foo/")
    host.post(f"/foo/queues/{name}/", 201)
    yield name
    host.delete(f"/foo/instances/{name}/", force=1)


def send(host: BranchHost, queue: str, *urls: str) -> list[str]:
    sent = host.client.post(f"/foo/queue/{queue}/", json=list(urls))
    return list(sent.json()["uuids"])


def ends(host: BranchHost, ids: list[str]) -> list[dict[str, Any]]:
    return [host.get(f"/foo/query/{id}/wait/", timeout=30) for id in ids]


def test_what_runs_when_its_worker_stops_is_finished_and_told_of(
    host: BranchHost, server: OddServer, name: str
) -> None:
    host.make("foo", name, queues=[name])
    paths = [f"/slow/{unique('last')}" for _ in range(6)]
    ids = send(host, name, *(server.url(path) for path in paths))
    eventually(lambda: server.seen[paths[1]])

    host.post(f"/foo/instances/{name}/disable/")
    begun = [path for path in paths if server.seen[path]]
    told = ends(host, ids[: len(begun)])
    assert {end["state"] for end in told} == {"SUCCESS"}
    assert 2 <= len(begun) < len(paths)

    host.post(f"/foo/instances/{name}/enable/")
    assert {end["state"] for end in ends(host, ids)} == {"SUCCESS"}
    assert [server.seen[path] for path in paths] == [1] * len(paths)


def test_a_process_of_the_pool_that_is_killed(
    host: BranchHost, server: OddServer, name: str
) -> None:
    host.make("foo", name, queues=[name])
    (child,) = psutil.Process(host.pid(name)).children()
    path = f"/slow/{unique('killed')}"
    ids = send(host, name, server.url(path))
    eventually(lambda: server.seen[path], every_s=0.001)
    os.kill(child.pid, signal.SIGKILL)

    assert [end["state"] for end in ends(host, ids)] == ["SUCCESS"]
    assert server.seen[path] == 2


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_every_pool_tells(host: BranchHost, server: OddServer, name: str, pool: str) -> None:
    host.make("foo", name, queues=[name], pool=pool)
    told = ends(host, send(host, name, *(server.url(f"/{way}/x") for way in ("fast", "garbage"))))
    assert [end["state"] for end in told] == ["SUCCESS", "FAILURE"]
    assert told[1]["result"] is None
    assert "Protocol" in told[1]["error"]
