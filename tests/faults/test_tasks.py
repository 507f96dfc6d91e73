"""Tasks whose process is killed while they run: which are lost, and which run again."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.acceptance.celeryside import lines
from tests.faults.fleet import Fleet
from tests.faults.rows import RUNS, Hit, Row, repeat
from tests.faults.yard import TASKS, Work
from tests.support import eventually

#: A killed pool process is missed for so long before its task is given up.
LOST_WAIT_S = 10
#: The instance that each kind of task is sent to.
TARGETS = dict(zip(TASKS, ("w1", "w2", "w3"), strict=True))

pytestmark = [pytest.mark.rows, pytest.mark.timeout(2400)]


@pytest.mark.faults
def test_a_pool_process(fleet: Fleet, broker_name: str, tmp_path: Path) -> None:
    works = {task: Work(tmp_path / task) for task in TASKS}

    def kill(_: int) -> Hit:
        for pid in begin(fleet, works):
            os.kill(pid, signal.SIGKILL)
        hit = Hit.now()
        works["again"].settle(LOST_WAIT_S + 10)
        return hit

    row = Row("pool process killed in a task", broker_name, LOST_WAIT_S + 15, 5)
    repeat(row, fleet, kill)
    account(row, works, lost={"early": RUNS, "late": RUNS, "again": 0})


@pytest.mark.faults
def test_a_worker(fleet: Fleet, broker_name: str, tmp_path: Path) -> None:
    works = {task: Work(tmp_path / task) for task in TASKS}

    def kill(_: int) -> Hit:
        fleet.ripen(*TARGETS.values())
        for pid in begin(fleet, works):
            os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)
        return Hit.now(*TARGETS.values())

    row = Row("worker killed in a task", broker_name, 15, 6)
    repeat(row, fleet, kill)
    for task in ("late", "again"):
        works[task].settle(10)
    account(row, works, lost={"early": RUNS, "late": 0, "again": 0})


def begin(fleet: Fleet, works: dict[str, Work]) -> list[int]:
    """Processes that have begun a task, one of each kind."""
    sent = {
        task: work.send(fleet.host.broker, f"dq.{TARGETS[task]}", task, 1, 0.5)[0]
        for task, work in works.items()
    }
    return [began(works[task], mark) for task, mark in sent.items()]


def began(work: Work, mark: str) -> int:
    pid: int = eventually(lambda: work.pid(mark), 15)
    return pid


def account(row: Row, works: dict[str, Work], lost: dict[str, int]) -> None:
    """As Celery promises: what is acknowledged early, or when its process is lost, is lost."""
    found = {task: len(work.lost()) for task, work in works.items()}
    if found != lost:
        row.violations.append(
            f"lost {found}, not {lost}: {[lines(w.path) for w in works.values()]}"
        )
    row.lost = sum(found.values())
    row.again = sum(len(work.again()) for work in works.values())
    row.note = ", ".join(f"{task} {count}" for task, count in found.items()) + " lost"
    row.check()
