"""Plans of a real branch: they name what runs, do nothing, and come true."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.celeryside import lines, produce, queues, release
from tests.acceptance.conftest import EMBEDDED, RABBITMQ, broker_of, either
from tests.acceptance.harness import BranchHost
from tests.support import eventually

pytestmark = pytest.mark.timeout(180)
APP = "house"
WORKERS = ("w1", "w2")


@pytest.fixture(scope="module", params=either(EMBEDDED, RABBITMQ))
def broker(request: pytest.FixtureRequest) -> str | None:
    return broker_of(request)


@pytest.fixture(scope="module")
def host(broker: str | None, project: Path) -> Iterator[BranchHost]:
    """A branch with two workers that consume from one queue."""
    with BranchHost(broker=broker) as host:
        host.start()
        host.post(f"/{APP}/", 201, celery_app="house:app", directory=str(project))
        for queue in ("tasks", "mail"):
            host.post(f"/{APP}/queues/{queue}/", 201)
        for name in WORKERS:
            host.make(APP, name, queues=["tasks"])
        yield host


def plan(host: BranchHost) -> Any:
    return host.get(f"/{APP}/plan/")


def pids(host: BranchHost) -> dict[str, list[int]]:
    return {name: host.mains(name) for name in WORKERS}


def is_settled(host: BranchHost) -> bool:
    """Nothing is left to do, as far as the plan knows, and all of them are well."""
    return plan(host)["actions"] == [] and all(host.is_ready(APP, name) for name in WORKERS)


@contextmanager
def hanging(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def let_end(told: Path) -> None:
    """The task that tells there goes on, and ends."""
    assert lines(told) == ["begun"]
    release(told)
    eventually(lambda: lines(told) == ["begun", "done"])


def test_the_task_that_a_restart_would_touch(
    host: BranchHost, project: Path, tmp_path: Path
) -> None:
    eventually(lambda: is_settled(host))
    told, before = tmp_path / "told", pids(host)
    id = produce(project, host.broker, "hold", "dq.w1", str(told))
    eventually(lambda: lines(told) == ["begun"])
    shape = {"restarting": ["w1"], "stopping": [], "unknown": [], "waits_for": None}
    found = host.post(f"/{APP}/instances/w1/", arguments="-O fair", dry_run=True)
    assert found.items() >= shape.items()
    (task,) = found["tasks"]["running"]
    assert task.pop("started_at").endswith("Z")
    assert task == {"instance": "w1", "id": id, "name": "house.hold"}
    # Another's change does not touch it.
    other = host.post(f"/{APP}/instances/w2/restart/", dry_run=True)
    assert (other["restarting"], other["tasks"]["count"]) == (["w2"], 0)
    gone = host.delete(f"/{APP}/", force=1, dry_run=1)
    assert (gone["stopping"], gone["tasks"]["count"]) == (["w1", "w2"], 1)
    rolling = host.post(f"/{APP}/restart/", dry_run=True)
    assert (rolling["turns"], rolling["tasks"]["count"]) == ([["w1"], ["w2"]], 1)
    # None of it was done, and the task ends as if nobody had asked.
    let_end(told)
    assert pids(host) == before
    assert host.get(f"/{APP}/")["instances"] == list(WORKERS)
    assert host.get(f"/{APP}/instances/w1/")["arguments"] == []
    assert host.get(f"/{APP}/restart/")["state"] is None
    assert plan(host)["actions"] == []


def test_a_plan_comes_true(host: BranchHost) -> None:
    eventually(lambda: is_settled(host))
    before = pids(host)
    path, fair = f"/{APP}/instances/w2/", "-O fair"
    assert host.post(path, arguments=fair, dry_run=True)["restarting"] == ["w2"]
    assert host.post(path, arguments=fair)["restarting"] == ["w2"]
    eventually(lambda: pids(host)["w2"] not in ([], before["w2"]) and is_settled(host), 60)
    assert pids(host)["w1"] == before["w1"]
    before = pids(host)
    consumer = f"/{APP}/instances/w1/queues/mail/"
    found = host.post(consumer, dry_run=True)
    assert found["restarting"] == []
    assert found["actions"][-1].items() >= {"action": "consume", "queues": ["mail"]}.items()
    assert queues(host, "w1") == {"dq.w1", "tasks"}
    host.post(consumer, 201)
    assert queues(host, "w1") == {"dq.w1", "tasks", "mail"}
    eventually(lambda: is_settled(host))
    assert pids(host) == before


def test_a_declaration_that_is_edited(host: BranchHost) -> None:
    eventually(lambda: is_settled(host))
    before = pids(host)
    path = f"/{APP}/queues/tasks/"
    assert host.post(path, routing_key="other", dry_run=True)["restarting"] == list(WORKERS)
    assert pids(host) == before
    host.post(path, routing_key="other")
    eventually(lambda: all(now not in ([], before[name]) for name, now in pids(host).items()), 60)
    eventually(lambda: is_settled(host), 60)


def test_a_solo_worker_that_is_busy_is_named(
    host: BranchHost, project: Path, tmp_path: Path
) -> None:
    host.make(APP, "alone", pool="solo")
    told = tmp_path / "told"
    produce(project, host.broker, "hold", "dq.alone", str(told))
    eventually(lambda: lines(told) == ["begun"])
    begun = time.monotonic()
    found = host.post(f"/{APP}/instances/alone/restart/", dry_run=True)
    assert time.monotonic() - begun < 2.0
    assert found["restarting"] == ["alone"]
    assert [each["instance"] for each in found["unknown"]] == ["alone"]
    let_end(told)
    host.delete(f"/{APP}/instances/alone/")


def test_a_plan_while_the_broker_is_down(host: BranchHost, broker: str | None) -> None:
    if broker is not None:
        pytest.skip("the broker of all tests is left alone")
    eventually(lambda: is_settled(host))
    before = pids(host)
    with hanging(host.pid("cyme:broker")):
        eventually(lambda: host.get("/health/", 503), 30)
        begun = time.monotonic()
        found = host.delete(f"/{APP}/instances/w1/", dry_run=1)
        assert time.monotonic() - begun < 1.0
        assert found["stopping"] == ["w1"]
        assert "is down" in found["waits_for"]
        (unknown,) = found["unknown"]
        assert (unknown["instance"], "is down" in unknown["reason"]) == ("w1", True)
    eventually(lambda: is_settled(host), 60)
    assert pids(host) == before
