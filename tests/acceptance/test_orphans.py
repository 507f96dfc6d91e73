"""What nobody takes care of, on both brokers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import processes
from tests.acceptance.celeryside import asking, lines, produce, queues, worker_pid
from tests.acceptance.harness import BranchHost, unique
from tests.services import free_port
from tests.support import eventually

pytestmark = pytest.mark.timeout(120)
APP = "house"
NOTHING: dict[str, list[Any]] = {
    key: [] for key in ("queues", "consumers", "tasks", "processes", "unknown")
}
REPLACED_WITHIN_S = 20


@pytest.fixture(scope="module")
def house(host: BranchHost, project: Path) -> BranchHost:
    host.post(f"/{APP}/", 201, celery_app="house:app", directory=str(project))
    return host


@pytest.fixture
def queue(house: BranchHost) -> Iterator[str]:
    name = unique("q")
    house.post(f"/{APP}/queues/{name}/", 201)
    yield name
    house.delete(f"/{APP}/queues/{name}/", purge=1)


@pytest.fixture
def worker(house: BranchHost, queue: str) -> Iterator[str]:
    name = unique("w")
    house.make(APP, name, queues=[queue])
    eventually(lambda: queues(house, name) == {f"dq.{name}", queue})
    yield name
    house.client.delete(f"/{APP}/instances/{name}/", params={"force": 1})


def orphans(house: BranchHost, app: str = APP) -> Any:
    return house.get(f"/{app}/orphans/")


def left(house: BranchHost, has_worker: bool) -> Any:
    """The only process that was left behind, once it is told of so."""
    found = orphans(house)["processes"]
    return found[0] if [each["has_worker"] for each in found] == [has_worker] else None


def test_all_is_well(house: BranchHost, worker: str) -> None:
    eventually(lambda: orphans(house) == NOTHING)


def test_messages_whose_consumer_was_taken_away(
    house: BranchHost, queue: str, worker: str, project: Path, tmp_path: Path
) -> None:
    house.delete(f"/{APP}/instances/{worker}/queues/{queue}/")
    for task in ("write", "vanished"):
        produce(project, house.broker, task, queue, tmp_path / "note", "a")
    (left,) = eventually(lambda: orphans(house)["queues"])
    shows_messages = house.broker.startswith("redis")
    who = "no instance" if shows_messages else "nobody"
    told = {"name": queue, "depth": 2, "reason": f"{who} consumes it"}
    assert left == {**told, "is_paused": False}
    found = orphans(house)
    if shows_messages:
        assert found["tasks"] == [{"name": "house.vanished", "queue": queue, "count": 1}]
        assert found["unknown"] == []
    else:
        assert found["tasks"] == []
        assert [each["what"] for each in found["unknown"]] == [f"tasks in queue {queue}"]

    house.post(f"/{APP}/instances/{worker}/queues/{queue}/", 201)

    eventually(lambda: lines(tmp_path / "note") == ["a"])
    eventually(lambda: orphans(house) == NOTHING)


def test_one_that_somebody_has_consume_from_elsewhere(house: BranchHost, worker: str) -> None:
    # Longer than a pass apart, so that one of them is seen before it is repaired.
    def told() -> Any:
        with asking(house.broker) as app:
            app.control.add_consumer("undeclared", destination=[f"{worker}@{house.id}"])
        return orphans(house)["consumers"]

    assert eventually(told, 20) == [{"instance": worker, "queue": "undeclared"}]
    eventually(lambda: orphans(house) == NOTHING, 20)
    assert "undeclared" not in queues(house, worker)


def test_what_a_task_made_a_daemon_of_and_left(
    house: BranchHost, worker: str, project: Path, tmp_path: Path
) -> None:
    pid, note = worker_pid(house, worker), tmp_path / "note"
    produce(project, house.broker, "leave_a_child", f"dq.{worker}", note, 60)
    child = int(eventually(lambda: "left" in lines(note) and lines(note)[0]))
    try:
        # It is the worker's, as long as that runs.
        assert orphans(house)["processes"] == []
        processes.kill(pid)
        stray = eventually(lambda: left(house, has_worker=True), REPLACED_WITHIN_S)
        assert (stray["pid"], stray["instance"], stray["command"]) == (child, worker, "sleep 60")
        house.delete(f"/{APP}/instances/{worker}/", force=1)
        assert left(house, has_worker=False)["pid"] == child
    finally:
        processes.kill(child)
    eventually(lambda: orphans(house)["processes"] == [])


def test_a_broker_that_is_down_and_a_worker_that_is_silent(house: BranchHost, worker: str) -> None:
    app = unique("house")
    house.post(f"/{app}/", 201, broker=f"redis://127.0.0.1:{free_port()}/0")
    house.post(f"/{app}/queues/q/", 201)
    begun = time.monotonic()
    (unknown,) = orphans(house, app)["unknown"]
    assert time.monotonic() - begun < 1.0
    assert unknown["what"].startswith("broker redis://127.0.0.1")

    with processes.stopped(worker_pid(house, worker)):
        begun = time.monotonic()
        (unknown,) = orphans(house)["unknown"]
        assert time.monotonic() - begun < 1.0
    assert unknown["what"] == f"instance {worker}"
