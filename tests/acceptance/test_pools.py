"""Every pool that a worker can have, on both brokers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.acceptance.celeryside import (
    ask_worker,
    asker,
    lines,
    produce,
    queues,
    worker_pid,
)
from tests.acceptance.conftest import EMBEDDED, RABBITMQ, either
from tests.acceptance.harness import BranchHost, unique
from tests.support import eventually

pytestmark = pytest.mark.timeout(120)
APP = "house"
MANY = 20
#: Answers of a new process that are looked at: the first, and those after it.
ANSWERS = 20
STARTED_WITHIN_S = 30.0


@pytest.fixture(scope="module")
def house(host: BranchHost, project: Path) -> BranchHost:
    host.post(f"/{APP}/", 201, celery_app="house:app", directory=str(project))
    return host


#: Of the two green ones the second only where there is time for both.
POOLS = ["prefork", "gevent", pytest.param("eventlet", marks=pytest.mark.faults), "threads", "solo"]


@pytest.fixture(params=POOLS)
def pool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def worker(house: BranchHost, pool: str) -> Iterator[str]:
    """A worker with this pool."""
    name = unique("w")
    assert house.make(APP, name, pool=pool)["pool"] == pool
    yield name
    house.delete(f"/{APP}/instances/{name}/", force=1)


def test_it_takes_a_queue_and_its_tasks(
    house: BranchHost, worker: str, pool: str, project: Path, tmp_path: Path
) -> None:
    queue, note = unique("q"), tmp_path / "note"
    house.post(f"/{APP}/queues/{queue}/", 201)
    house.post(f"/{APP}/instances/{worker}/queues/{queue}/", 201)
    assert queues(house, worker) == {f"dq.{worker}", queue}

    produce(project, house.broker, "write", queue, note, "declared")
    produce(project, house.broker, "write", f"dq.{worker}", note, "direct")

    eventually(lambda: sorted(lines(note)) == ["declared", "direct"])
    implementation = ask_worker(house, worker, "stats")["pool"]["implementation"]
    assert pool.rstrip("s") in implementation
    house.delete(f"/{APP}/instances/{worker}/queues/{queue}/")
    assert queues(house, worker) == {f"dq.{worker}"}


@pytest.mark.parametrize("broker", either(RABBITMQ, EMBEDDED), indirect=True, scope="module")
def test_its_limits(house: BranchHost, worker: str, pool: str) -> None:
    path, pid = f"/{APP}/instances/{worker}/autoscale/", worker_pid(house, worker)

    if pool == "solo":
        for limits in ({"max": 2, "min": 2}, {"max": 2, "min": 1}):
            house.post(path, 400, **limits)
    elif pool == "threads":
        house.post(path, 400, max=3, min=1)
        assert house.post(path, 200, max=2, min=2) == {"max": 2, "min": 2}
        assert ask_worker(house, worker, "stats")["pool"]["max-concurrency"] == 2
        assert worker_pid(house, worker) != pid
    else:
        assert house.post(path, 200, max=3, min=2) == {"max": 3, "min": 2}
        scaler = ask_worker(house, worker, "stats")["autoscaler"]
        assert (scaler["max"], scaler["min"]) == (3, 2)
        assert worker_pid(house, worker) == pid


# A restart boots as a crash does: the longer suite sees to it that it stays so.
@pytest.mark.parametrize("broker", either(RABBITMQ, EMBEDDED), indirect=True, scope="module")
@pytest.mark.parametrize("way", ["kill -9", pytest.param("restart", marks=pytest.mark.faults)])
def test_its_first_answer_has_all_its_queues(house: BranchHost, worker: str, way: str) -> None:
    wanted = {f"{unique('q')}-{number}" for number in range(MANY)}
    for queue in wanted:
        house.post(f"/{APP}/queues/{queue}/", 201)
    house.post(f"/{APP}/instances/{worker}/", queues=sorted(wanted))
    wanted.add(f"dq.{worker}")
    eventually(lambda: queues(house, worker) == wanted)
    pid = worker_pid(house, worker)

    with asker(house, worker, "active_queues") as asked:
        if way == "restart":
            house.post(f"/{APP}/instances/!/{worker}/restart/", 202)
        else:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: asked.ask() >= 0 and not psutil.pid_exists(pid), every_s=0)
        before = len(asked.answers)
        eventually(lambda: asked.ask() >= before + ANSWERS, STARTED_WITHIN_S, every_s=0)

    told = [{queue["name"] for queue in answer} for answer in asked.answers]
    assert [names for names in told if names != wanted] == []
