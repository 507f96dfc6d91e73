"""A pause: the worker stays up and takes nothing, whatever happens meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import processes
from tests.acceptance.celeryside import lines, produce, queues, worker_pid
from tests.acceptance.conftest import EMBEDDED, RABBITMQ, broker_of, either
from tests.acceptance.harness import BranchHost
from tests.support import eventually

pytestmark = pytest.mark.timeout(180)
APP = "house"
QUEUES = ("tasks", "others")
BACK_WITHIN_S = 40.0


@pytest.fixture(scope="module", params=either(EMBEDDED, RABBITMQ))
def broker(request: pytest.FixtureRequest) -> str | None:
    return broker_of(request)


@pytest.fixture(scope="module")
def host(broker: str | None, project: Path) -> Iterator[BranchHost]:
    """A branch with one worker that consumes from two queues."""
    with BranchHost(broker=broker) as host:
        host.start()
        host.post(f"/{APP}/", 201, celery_app="house:app", directory=str(project))
        for queue in QUEUES:
            host.post(f"/{APP}/queues/{queue}/", 201)
        host.make(APP, "w1", queues=list(QUEUES))
        eventually(lambda: queues(host, "w1") == {"dq.w1", *QUEUES})
        yield host


@pytest.fixture(autouse=True)
def nothing_paused(host: BranchHost) -> Iterator[None]:
    yield
    for place in ("", "instances/w1/", "queues/tasks/"):
        host.client.post(f"/{APP}/{place}resume/")
    eventually(lambda: queues(host, "w1") == {"dq.w1", *QUEUES}, BACK_WITHIN_S)


def details(host: BranchHost) -> Any:
    return host.get(f"/{APP}/instances/w1/")


def condition(host: BranchHost) -> Any:
    found = [each for each in details(host)["conditions"] if each["type"] == "Paused"]
    return found[0] if found else None


def test_all_of_an_app(host: BranchHost, project: Path, tmp_path: Path) -> None:
    pid, told = worker_pid(host, "w1"), tmp_path / "told"
    produce(project, host.broker, "work", "dq.w1", str(told), 2)
    eventually(lambda: lines(told) == ["begun"])
    assert host.post(f"/{APP}/pause/", reason="deploy") == {"ok": "ok"}
    assert queues(host, "w1") == set()
    produce(project, host.broker, "write", "dq.w1", str(told), "held")
    # What it had begun it finishes.
    eventually(lambda: lines(told) == ["begun", "done"])
    assert details(host)["ready"] is True
    assert details(host)["consuming"] is False
    assert condition(host)["reason"] == "AppPaused"
    assert condition(host)["message"] == "app house is paused: deploy"
    assert host.get(f"/{APP}/")["pause"]["reason"] == "deploy"
    assert host.post(f"/{APP}/resume/") == {"ok": "ok"}
    eventually(lambda: lines(told) == ["begun", "done", "held"])
    assert details(host)["consuming"] is True
    assert condition(host) is None
    assert worker_pid(host, "w1") == pid


def test_a_queue_that_comes_back_by_itself(host: BranchHost) -> None:
    pid = worker_pid(host, "w1")
    assert host.post(f"/{APP}/queues/tasks/pause/", until=3) == {"ok": "ok"}
    assert queues(host, "w1") == {"dq.w1", "others"}
    assert condition(host)["reason"] == "QueuePaused"
    eventually(lambda: queues(host, "w1") == {"dq.w1", *QUEUES})
    eventually(lambda: details(host)["consuming"])
    assert (condition(host), worker_pid(host, "w1")) == (None, pid)


def test_a_consumer_of_a_paused_instance(host: BranchHost) -> None:
    host.post(f"/{APP}/instances/w1/pause/", reason="lunch")
    host.delete(f"/{APP}/instances/w1/queues/others/")
    begun = time.monotonic()
    answer = host.post(f"/{APP}/instances/w1/queues/others/", 202)
    assert answer["reason"] == "instance w1 is paused: lunch"
    assert time.monotonic() - begun < 2.0
    host.post(f"/{APP}/instances/w1/resume/")
    assert queues(host, "w1") == {"dq.w1", *QUEUES}


@pytest.mark.faults
def test_through_the_death_of_the_worker_and_the_branch(host: BranchHost) -> None:
    host.post(f"/{APP}/instances/w1/pause/")
    before = worker_pid(host, "w1")
    processes.kill(before)
    eventually(lambda: host.is_ready(APP, "w1") and worker_pid(host, "w1") != before, 20)
    assert queues(host, "w1") == set()
    pid, branch = worker_pid(host, "w1"), host.pid("cyme:branch")
    processes.kill(branch)
    eventually(lambda: host.pid("cyme:branch") not in (0, branch))
    eventually(lambda: condition(host)["status"] is True, 20)
    assert (queues(host, "w1"), worker_pid(host, "w1")) == (set(), pid)
    # Resumed, it has all of its queues, its own among them.
    host.post(f"/{APP}/instances/w1/resume/")
    assert queues(host, "w1") == {"dq.w1", *QUEUES}
    assert worker_pid(host, "w1") == pid


@pytest.mark.faults
def test_through_the_death_of_the_broker(host: BranchHost, broker: str | None) -> None:
    if broker is not None:
        pytest.skip("the broker of all tests is left alone")
    host.post(f"/{APP}/pause/")
    pid, before = worker_pid(host, "w1"), host.pid("cyme:broker")
    processes.kill(before)
    eventually(lambda: host.pid("cyme:broker") not in (0, before))
    eventually(lambda: queues(host, "w1") == set(), BACK_WITHIN_S)
    eventually(lambda: host.is_ready(APP, "w1"), BACK_WITHIN_S)
    host.post(f"/{APP}/resume/")
    assert (queues(host, "w1"), worker_pid(host, "w1")) == ({"dq.w1", *QUEUES}, pid)
