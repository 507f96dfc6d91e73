"""Real workers move from one branch to another while they work, and branches are killed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import processes
from tests.acceptance.celeryside import asking, lines, queues, worker_pid
from tests.acceptance.fleets import VALKEY, grounds, kill_all_of
from tests.acceptance.harness import BranchHost
from tests.support import eventually

pytestmark = pytest.mark.timeout(240)
APP = "house"
WORKERS = ("w1", "w2")
TASKS, TASK_S = 16, 1
DONE_WITHIN_S = 90.0

PLACES = [
    pytest.param(False, id="sqlite"),
    pytest.param(True, id="postgresql", marks=pytest.mark.faults),
]


@pytest.fixture(params=PLACES)
def pair(request: pytest.FixtureRequest, project: Path) -> Iterator[list[BranchHost]]:
    """Two branches, of which the first has all workers."""
    with (
        grounds(request, VALKEY, request.param) as ground,
        ground.branches("one", "two") as hosts,
    ):
        one = hosts[0]
        one.post(f"/{APP}/", 201, celery_app="house:app", directory=str(project))
        one.post(f"/{APP}/queues/tasks/", 201)
        for name in WORKERS:
            one.make(APP, name, queues=["tasks"], branch=one.id, stop_timeout_s=60)
            eventually(lambda name=name: queues(one, name) == {f"dq.{name}", "tasks"})
        yield hosts


def test_all_move_while_they_work_and_branches_die(pair: list[BranchHost], tmp_path: Path) -> None:
    one, two = pair
    told = send(one, tmp_path)
    eventually(lambda: any(lines(path) for path in told))
    with each_at_most_once(pair):
        asked = two.client.post(f"/branches/{one.id}/drain/?move=1")
        assert asked.status_code == 200, asked.text
        assert asked.json()["moving"]["left"] == len(WORKERS)
        eventually(lambda: moving(one)["now"] == "w1")
        kill_branch(one)
        eventually(lambda: is_on(two, "w1"), DONE_WITHIN_S)
        kill_branch(two)
        # On a busy host it may be past that by now.
        eventually(lambda: moving(one)["now"] == "w2" or is_on(two, "w2"), DONE_WITHIN_S)
        kill_branch(one)
        eventually(lambda: moving(one)["left"] == 0, DONE_WITHIN_S)
        eventually(lambda: moving(one)["now"] is None, DONE_WITHIN_S)
        eventually(lambda: all(is_on(two, name) for name in WORKERS), DONE_WITHIN_S)
        eventually(lambda: all(lines(path)[-1:] == ["done"] for path in told), DONE_WITHIN_S)
    assert [lines(path) for path in told] == [["begun", "done"]] * TASKS
    for host in pair:
        assert host.get(f"/{APP}/instances/") == list(WORKERS)
    for name in WORKERS:
        seen = two.get(f"/{APP}/instances/{name}/")
        assert (seen["queues"], seen["stop_timeout_s"]) == (["tasks"], 60)
        assert (two.mains(name), one.mains(name)) == ([worker_pid(two, name)], [])
        assert queues(two, name) == {f"dq.{name}", "tasks"}
    assert set(one.programs()) & set(WORKERS) == set()


@pytest.mark.faults
def test_a_host_that_loses_its_power_goes_on_when_it_is_back(pair: list[BranchHost]) -> None:
    one, two = pair
    with each_at_most_once(pair):
        one.client.post(f"/branches/{one.id}/drain/?move=1")
        eventually(lambda: moving(one)["now"] == "w1")
        kill_all_of(one)
        one.start()
        eventually(lambda: is_on(two, "w1"), DONE_WITHIN_S)
        kill_all_of(two)
        two.start()
        eventually(lambda: moving(one)["left"] == 0, DONE_WITHIN_S)
        eventually(lambda: all(two.is_ready(APP, name) for name in WORKERS), DONE_WITHIN_S)
    assert [two.mains(name) for name in WORKERS] == [[worker_pid(two, name)] for name in WORKERS]


def send(host: BranchHost, folder: Path) -> list[Path]:
    """Tasks that take a while, each with a file of its own to write in."""
    told = [folder / f"task{number}" for number in range(TASKS)]
    with asking(host.broker) as app:
        for path in told:
            where = {"exchange": "tasks", "routing_key": "tasks"}
            app.send_task("house.work", [str(path), TASK_S], **where)
    return told


def moving(host: BranchHost) -> Any:
    """As its own web says it, which lives on."""
    return host.get(f"/branches/{host.id}/")["moving"]


def is_on(host: BranchHost, name: str) -> bool:
    response = host.client.get(f"/{APP}/instances/{name}/")
    return response.status_code == 200 and response.json()["branch"] == host.id


def kill_branch(host: BranchHost) -> None:
    pid = host.pid("cyme:branch")
    processes.kill(pid)
    eventually(lambda: host.pid("cyme:branch") not in (0, pid))


@contextmanager
def each_at_most_once(hosts: list[BranchHost]) -> Iterator[None]:
    """All the while no name has two workers."""
    done, doubled = threading.Event(), []

    def watch() -> None:
        while not done.wait(0.05):
            for name in WORKERS:
                found = [pid for host in hosts for pid in host.mains(name)]
                if len(found) > 1:
                    doubled.append((name, [processes.described(pid) for pid in found]))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    assert not doubled
