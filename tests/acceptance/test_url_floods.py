"""Thousands of URLs to a server of many ways, while the worker is killed: none is lost."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.harness import BranchHost
from tests.odd_server import OddServer, odd_server
from tests.support import eventually

#: How each way ends: the status, or what is in the error.
ENDS: dict[str, int | str] = {
    "fast": 200,
    "slow": 200,
    "close": "disconnected",
    "break": "closed connection",
    "redirect": 302,
    "endless": 200,
    "garbage": "RemoteProtocolError",
    "missing": 404,
}
#: Of a hundred URLs.
SHARES = {
    "fast": 82,
    "slow": 2,
    "close": 4,
    "break": 2,
    "redirect": 4,
    "endless": 1,
    "garbage": 2,
    "missing": 3,
}
KILLS = 3
PROCESSES = 4
#: Messages that Celery has a worker of so many processes take at once.
PREFETCHED = 4 * PROCESSES


@pytest.fixture(scope="module")
def host(broker: str | None) -> Iterator[BranchHost]:
    with BranchHost(broker=broker) as host:
        host.start()
        host.post("/foo/", 201)
        host.post("/foo/queues/tasks/", 201)
        limits = {"max_concurrency": PROCESSES, "min_concurrency": PROCESSES}
        host.make("foo", "w1", queues=["tasks"], **limits)
        yield host


@pytest.fixture
def server() -> Iterator[OddServer]:
    with odd_server() as server:
        yield server


@pytest.mark.timeout(180)
def test_a_thousand(host: BranchHost, server: OddServer) -> None:
    flood(host, server, 1_000)


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_ten_thousand(host: BranchHost, server: OddServer) -> None:
    flood(host, server, 10_000)


def flood(host: BranchHost, server: OddServer, count: int) -> None:
    """Queue them all, kill the worker on the way, and account for every one."""
    paths = [f"/{way}/{index}" for index, way in enumerate(ways(count))]
    urls = [{"url": server.url(path)} for path in paths]
    answer = host.client.post("/foo/queue/tasks/", json=urls)
    assert answer.status_code == 202, answer.text
    ids: list[str] = answer.json()["uuids"]
    for part in range(1, KILLS + 1):
        due = count * part // (KILLS + 2)
        eventually(lambda due=due: len(ended(host, ids)) >= due, 300, every_s=0.1)
        os.kill(host.pid("w1"), signal.SIGKILL)
        eventually(lambda: len(host.mains("w1")) == 1, 20)
    eventually(lambda: len(ended(host, ids)) == count, 400, every_s=0.2)

    found = ended(host, ids)
    wrong = [
        (path, *found[id]) for path, id in zip(paths, ids, strict=True) if not fits(path, found[id])
    ]
    assert wrong == []
    # What the server itself has seen: all, and of what it pointed to nothing.
    assert set(server.seen) == set(paths)
    again = sum(server.seen.values()) - count
    # What the worker held: acknowledgements wait for the broker to keep the reports.
    assert again <= KILLS * PREFETCHED, f"{again} were asked for again"
    ask_about_some(host, paths, ids)


def ways(count: int) -> Iterator[str]:
    """The ways in their shares, mixed."""
    left: Counter[str] = Counter({way: share * count // 100 for way, share in SHARES.items()})
    left["fast"] += count - left.total()
    while +left:
        for way in [way for way in left if left[way] > 0]:
            take = max(1, SHARES[way] // 4)
            yield from [way] * min(take, left[way])
            left[way] -= min(take, left[way])


def ended(host: BranchHost, ids: list[str]) -> dict[str, tuple[str, int | None, str | None]]:
    """Of these tasks those that are stored as ended: state, status, error."""
    wanted = set(ids)
    with sqlite3.connect(f"file:{host.root}/branch.db?mode=ro", uri=True, timeout=10) as store:
        rows = store.execute(
            "select id, state, json_extract(result, '$.status_code'), error from task"
        ).fetchall()
    store.close()
    return {id: (state, status, error) for id, state, status, error in rows if id in wanted}


def fits(path: str, end: tuple[str, int | None, str | None]) -> bool:
    wanted = ENDS[path.split("/")[1]]
    state, status, error = end
    if isinstance(wanted, int):
        return (state, status) == ("SUCCESS", wanted)
    return state == "FAILURE" and wanted in (error or "")


def ask_about_some(host: BranchHost, paths: list[str], ids: list[str]) -> None:
    """The interface says the same: one of each way."""
    one_of_each = {path.split("/")[1]: id for path, id in zip(paths, ids, strict=True)}
    for way, id in one_of_each.items():
        said: dict[str, Any] = host.get(f"/foo/query/{id}/result/")
        assert said["state"] == host.get(f"/foo/query/{id}/state/")["state"]
        if isinstance(ENDS[way], int):
            assert said["result"]["status_code"] == ENDS[way]
            assert said["result"]["truncated"] is (way == "endless")
        else:
            assert said["result"] is None
            assert said["error"]
