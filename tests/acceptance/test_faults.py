"""kill -9 of a worker, the branch, the web: replaced, and nothing else is touched."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.acceptance import processes
from tests.acceptance.celeryside import lines, produce, release, worker_pid
from tests.acceptance.conftest import EMBEDDED, RABBITMQ, either
from tests.acceptance.harness import BranchHost, unique
from tests.support import eventually, still_running

pytestmark = pytest.mark.timeout(120)
#: What it takes is in the table of make faults; here, beside other tests, it is only to happen.
REPLACED_WITHIN_S = 40.0
#: For what the broker has no part in.
ON_EITHER = pytest.mark.parametrize(
    "broker", either(EMBEDDED, RABBITMQ), indirect=True, scope="module"
)


@pytest.fixture(scope="module")
def worker(host: BranchHost, project: Path) -> str:
    """The name of an instance of ``house`` on the shared branch."""
    host.post("/house/", 201, celery_app="house:app", directory=str(project))
    name = unique("w")
    host.make("house", name, max_concurrency=2, min_concurrency=2)
    return name


@pytest.fixture
def pid(host: BranchHost, worker: str) -> Iterator[int]:
    """The worker's pid before the fault; there is one worker, before and after."""
    eventually(lambda: host.is_up() and host.is_ready("house", worker), 20)
    before = worker_pid(host, worker)
    assert host.mains(worker) == [before]
    with processes.most_mains(f"{worker}@{host.id}") as most:
        yield before
        eventually(lambda: host.is_up() and host.is_ready("house", worker), 20)
    assert most == [1]


def check_replaced(host: BranchHost, worker: str, before: int) -> None:
    def is_new() -> bool:
        try:
            shown = host.get(f"/house/instances/{worker}/")
        except httpx.TransportError:
            # The web ends with its supervisord, in the middle of an answer even.
            return False
        return bool(shown["ready"] and shown["pid"] != before)

    eventually(is_new, REPLACED_WITHIN_S)
    after = host.get(f"/house/instances/{worker}/")["pid"]
    assert host.mains(worker) == [after] == [host.pid(worker)] == [worker_pid(host, worker)]


def check_untouched(host: BranchHost, worker: str, before: int) -> None:
    shown = host.get(f"/house/instances/{worker}/")
    assert (shown["ready"], shown["pid"]) == (True, before)
    assert host.mains(worker) == [before] == [worker_pid(host, worker)]
    assert host.pid(worker) == before


def test_a_worker(host: BranchHost, worker: str, pid: int) -> None:
    pool = psutil.Process(pid).children()
    assert len(pool) == 2
    processes.kill(pid)
    check_replaced(host, worker, pid)
    assert not any(processes.is_running(child.pid) for child in pool)


@ON_EITHER
def test_a_worker_with_a_task_that_left_a_child(
    host: BranchHost, worker: str, pid: int, project: Path, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    produce(project, host.broker, "leave_a_child", f"dq.{worker}", note, 60)
    child = int(eventually(lambda: "left" in lines(note) and lines(note)[0]))
    try:
        processes.kill(pid)
        check_replaced(host, worker, pid)
        # What a task daemonised is its own; it is not in the way.
        assert processes.is_running(child)
    finally:
        processes.kill(child)


@ON_EITHER
def test_a_pool_process(host: BranchHost, worker: str, pid: int) -> None:
    (first, second) = psutil.Process(pid).children()
    processes.kill(first.pid)
    eventually(lambda: len(set(psutil.Process(pid).children()) - {first}) == 2)
    assert processes.is_running(second.pid)
    check_untouched(host, worker, pid)


def test_the_branch(host: BranchHost, worker: str, pid: int) -> None:
    branch = host.pid("cyme:branch")
    processes.kill(branch)
    eventually(lambda: host.pid("cyme:branch") not in (0, branch))
    # It acts again on the same worker, without a new process.
    assert host.post(f"/house/instances/{worker}/autoscale/", max=3, min=2)["max"] == 3
    check_untouched(host, worker, pid)
    assert host.post(f"/house/instances/{worker}/autoscale/", max=2, min=2)["max"] == 2


@ON_EITHER
def test_a_worker_while_the_branch_is_away(host: BranchHost, worker: str, pid: int) -> None:
    os.kill(branch := host.pid("cyme:branch"), signal.SIGSTOP)
    try:
        processes.kill(pid)
        eventually(lambda: len(host.mains(worker)) == 1, REPLACED_WITHIN_S)
        replacement = worker_pid(host, worker)
    finally:
        os.kill(branch, signal.SIGCONT)
    check_replaced(host, worker, pid)
    check_untouched(host, worker, replacement)


@ON_EITHER
def test_the_web_s_arbiter(host: BranchHost, worker: str, pid: int) -> None:
    arbiter = host.pid("cyme:web")
    children = [child.pid for child in psutil.Process(arbiter).children()]
    processes.kill(arbiter)
    eventually(lambda: host.pid("cyme:web") not in (0, arbiter))
    eventually(host.is_up)
    assert not any(processes.is_running(child) for child in children)
    check_untouched(host, worker, pid)


@ON_EITHER
def test_a_process_of_the_web(host: BranchHost, worker: str, pid: int) -> None:
    arbiter = host.pid("cyme:web")
    victim, *others = [child.pid for child in psutil.Process(arbiter).children()]
    processes.kill(victim)
    eventually(lambda: len(psutil.Process(arbiter).children()) == 1 + len(others))
    eventually(host.is_up)
    assert host.pid("cyme:web") == arbiter
    check_untouched(host, worker, pid)


@ON_EITHER
def test_branch_and_web_by_supervisorctl(host: BranchHost, worker: str, pid: int) -> None:
    before = host.pid("cyme:branch"), host.pid("cyme:web")
    assert host.supervisorctl("restart", "cyme:branch", "cyme:web").returncode == 0
    eventually(host.is_up)
    after = host.pid("cyme:branch"), host.pid("cyme:web")
    assert not set(before) & {*after, 0}
    check_untouched(host, worker, pid)


@ON_EITHER
def test_a_worker_that_somebody_stops(host: BranchHost, worker: str, pid: int) -> None:
    assert host.supervisorctl("stop", worker).returncode == 0
    check_replaced(host, worker, pid)
    (told,) = [
        each["message"]
        for each in host.get(f"/house/instances/{worker}/")["conditions"]
        if each["type"] == "StoppedByHand"
    ]
    way = f"supervisorctl cyme disable {worker} keeps it stopped"
    assert way in told
    assert f"{worker}: start (somebody stopped it by supervisorctl; {way})" in host.log()


def kill_supervisord(host: BranchHost) -> list[psutil.Process]:
    """What it had started, at that moment."""
    assert host.process is not None
    family: list[psutil.Process] = psutil.Process(host.process.pid).children(recursive=True)
    host.process.kill()
    assert host.process.wait(10) == -signal.SIGKILL
    return family


def test_supervisord(host: BranchHost, worker: str, pid: int) -> None:
    family = kill_supervisord(host)
    host.start()
    check_replaced(host, worker, pid)
    eventually(lambda: not still_running(family), 10)
    assert set(host.programs()) >= {"cyme:web", "cyme:branch", worker}
    assert all(program.pid for program in host.programs().values())


@ON_EITHER
def test_supervisord_while_a_task_runs(
    host: BranchHost, worker: str, pid: int, project: Path, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    produce(project, host.broker, "hold", f"dq.{worker}", note)
    eventually(lambda: lines(note) == ["begun"])
    kill_supervisord(host)
    host.start()
    # The old one ends warmly, and the new one waits for that.
    assert lines(note) == ["begun"]
    release(note)
    eventually(lambda: lines(note) == ["begun", "done"], 20)
    eventually(lambda: host.is_ready("house", worker), 20)
    check_replaced(host, worker, pid)
