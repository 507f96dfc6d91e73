"""A rolling restart of real workers: one after another, whoever dies meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import processes
from tests.acceptance.harness import BranchHost
from tests.support import eventually

pytestmark = [pytest.mark.timeout(180), pytest.mark.faults]
APP = "house"
WORKERS = ("w1", "w2", "w3", "w4")
DONE_WITHIN_S = 90.0


@pytest.fixture
def own_project(project: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    shutil.copytree(project, tmp_path / "own")
    return tmp_path / "own"


@pytest.fixture
def host(own_project: Path) -> Iterator[BranchHost]:
    with BranchHost() as host:
        host.start()
        host.post(f"/{APP}/", 201, celery_app="house:app", directory=str(own_project))
        host.post(f"/{APP}/queues/tasks/", 201)
        for name in WORKERS:
            host.make(APP, name, queues=["tasks"])
        eventually(lambda: set(unready(host)) == set())
        yield host


def rollout(host: BranchHost) -> Any:
    return host.get(f"/{APP}/restart/")


def unready(host: BranchHost) -> list[str]:
    return [name for name in WORKERS if not host.get(f"/{APP}/instances/{name}/")["consuming"]]


def pids(host: BranchHost) -> dict[str, list[int]]:
    return {name: host.mains(name) for name in WORKERS}


class Watch:
    """How many were without a process at the worst moment."""

    def __init__(self, host: BranchHost) -> None:
        self._host = host
        self.most = 0

    def is_done(self) -> bool:
        away = sum(len(found) != 1 for found in pids(self._host).values())
        self.most = max(self.most, away)
        found = rollout(self._host)
        assert found["state"] in ("running", "done"), found
        return bool(found["state"] == "done")


def test_one_after_another_though_the_branch_dies(host: BranchHost) -> None:
    before, watch = pids(host), Watch(host)
    assert rollout(host)["state"] is None
    begun = host.post(f"/{APP}/restart/", 202)
    assert (begun["state"], begun["max_unavailable"], begun["number"]) == ("running", 1, 1)
    refused = host.post(f"/{APP}/restart/", 409)
    assert "/house/restart/abort/" in refused["error"]["hint"]
    eventually(lambda: len(rollout(host)["restarted"]) >= 2, DONE_WITHIN_S)
    branch = host.pid("cyme:branch")
    processes.kill(branch)
    eventually(watch.is_done, DONE_WITHIN_S, every_s=0.05)
    assert host.pid("cyme:branch") not in (0, branch)
    after = pids(host)
    assert all(len(after[name]) == 1 and after[name] != before[name] for name in WORKERS)
    assert rollout(host)["restarted"] == list(WORKERS)
    assert watch.most <= 1
    assert unready(host) == []
    # It is over: nothing is restarted any more.
    eventually(lambda: "rolling restart done" in host.log())
    assert pids(host) == after


def test_one_that_stops_and_goes_on(host: BranchHost, own_project: Path) -> None:
    before, source = pids(host), own_project / "house.py"
    whole = source.read_text()
    source.write_text("raise SystemExit('broken')\n")
    host.post(f"/{APP}/restart/", 202)
    eventually(lambda: rollout(host)["state"] == "stopped", DONE_WITHIN_S)
    found = rollout(host)
    broken = found["stopped_at"]
    assert found["left"] == [name for name in WORKERS if name != broken]
    assert found["reason"]
    assert {name: pids(host)[name] for name in found["left"]} == {
        name: before[name] for name in found["left"]
    }
    host.post(f"/{APP}/restart/", 409)
    source.write_text(whole)
    eventually(lambda: host.is_ready(APP, broken), DONE_WITHIN_S)
    assert rollout(host)["state"] == "stopped"
    host.post(f"/{APP}/restart/resume/", 202)
    eventually(lambda: rollout(host)["state"] == "done", DONE_WITHIN_S)
    assert all(pids(host)[name] != before[name] for name in WORKERS)
