"""The host's clock is put forward or back: supervisord times by another."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import services
from tests.acceptance.processes import is_running
from tests.faults.rows import RUNS, Row
from tests.faults.weakened import without
from tests.support import eventually, let_pass
from tests.tree import SupervisedTree, lingering, python

pytestmark = [pytest.mark.rows, pytest.mark.faults, pytest.mark.timeout(900)]
HOUR_S = 3600
LINGERS_S = 2.0
STUBBORN = python(
    "import os, signal, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "open(os.environ['CYME_LAUNCH_DIRECTORY'] + '/ready', 'w').close()\n"
    "while True: time.sleep(1)\n"
)
#: The library has no idea of how Python sleeps.
OWN_TIME = {"LD_PRELOAD": ""}


class Clock:
    """What the programs of a tree take for the time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.put(0)

    def put(self, seconds: int) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}")
        fresh.rename(self._path)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(services.faketime()),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[SupervisedTree]:
    tree = SupervisedTree(tmp_path / "r")
    yield tree
    tree.end()


def stop_in_a_jump(tree: SupervisedTree, clock: Clock, jump_s: int) -> float:
    """Ask a worker to end that needs two seconds for it; those it got."""
    (tree.paths.instances / "w1" / "ready").unlink(missing_ok=True)
    pid = tree.run_ready("w1", lingering(LINGERS_S), 20, environment=OWN_TIME)
    begun_at = time.monotonic()
    tree.client.stop(["w1"])
    let_pass(0.2)
    clock.put(jump_s)
    eventually(lambda: not is_running(pid), 25)
    took_s = time.monotonic() - begun_at
    eventually(lambda: tree.state("w1") == "STOPPED")
    clock.put(0)
    return took_s


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
def test_nobody_is_killed_early(tree: SupervisedTree, clock: Clock, jump_s: int) -> None:
    tree.start(environment=clock.environment)
    took = [stop_in_a_jump(tree, clock, jump_s) for _ in range(min(RUNS, 30))]
    row = Row(f"clock put {jump_s // HOUR_S:+d} h in a stop", "", LINGERS_S + 5, 22)
    row.seconds = [round(each, 3) for each in took]
    row.violations = [f"killed after {each:.1f} s" for each in took if each < LINGERS_S]
    row.check()


def test_it_would_be_killed_early(tree: SupervisedTree, clock: Clock, tmp_path: Path) -> None:
    weak = without(tmp_path / "weak", "supervisord/rpcinterface.py", "        steady.install()\n")
    tree.start(environment=clock.environment, code=weak)
    assert stop_in_a_jump(tree, clock, HOUR_S) < LINGERS_S


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
def test_who_does_not_end_is_killed_in_time(
    tree: SupervisedTree, clock: Clock, jump_s: int
) -> None:
    tree.start(environment=clock.environment)
    pid = tree.run_ready("w1", STUBBORN, 2, environment=OWN_TIME)
    tree.client.stop(["w1"])
    begun_at = time.monotonic()
    clock.put(jump_s)
    eventually(lambda: not is_running(pid), 10)
    assert 1 < time.monotonic() - begun_at < 6


def test_what_is_shown_follows_the_clock(tree: SupervisedTree, clock: Clock) -> None:
    tree.start(environment=clock.environment)
    pid = tree.run("w1")
    before = tree.program("w1")["start"]
    assert abs(before - time.time()) < 5
    clock.put(HOUR_S)
    eventually(lambda: abs(tree.program("w1")["start"] - before - HOUR_S) < 2)
    tree.signal(signal.SIGCHLD)
    assert tree.pid_of("w1") == pid
