"""kill -9, of whatever there is: the rest is not touched, and all comes back."""

from __future__ import annotations

import os
import random
import signal

import psutil
import pytest

from tests.acceptance import processes
from tests.faults.fleet import TREE, Fleet
from tests.faults.rows import Hit, Row, repeat
from tests.support import eventually, let_pass

pytestmark = [pytest.mark.rows, pytest.mark.timeout(1800)]


def test_a_worker(fleet: Fleet, broker_name: str) -> None:
    def kill(number: int) -> Hit:
        name = f"w{1 + number % 3}"
        fleet.ripen(name)
        pool = psutil.Process(fleet.pids()[name]).children()
        hit = Hit.now(name)
        processes.kill(fleet.pids()[name])
        fleet.scale(name, timeout=0)
        _, alive = psutil.wait_procs(pool, timeout=2)
        assert not alive
        return hit

    repeat(Row("worker killed", broker_name, 10, 1), fleet, kill).check()


def test_a_pool_process(fleet: Fleet, broker_name: str) -> None:
    def kill(_: int) -> Hit:
        main = psutil.Process(fleet.pids()["w2"])
        before = {child.pid for child in main.children()}
        victim = min(before)
        hit = Hit.now()
        processes.kill(victim)
        eventually(lambda: {child.pid for child in main.children()} - before, 5)
        return hit

    repeat(Row("pool process killed", broker_name, 10, 2), fleet, kill).check()


@pytest.mark.parametrize("program", ["branch", "web"])
def test_the_branch(fleet: Fleet, broker_name: str, program: str) -> None:
    """At a random moment after a change that it has accepted."""
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    chance = random.Random(seed)

    def kill(number: int) -> Hit:
        name = f"w{1 + number % 3}"
        pid = fleet.pids()[f"cyme:{program}"]
        fleet.scale(name, timeout=0)
        let_pass(chance.uniform(0, 0.3))
        hit = Hit.now(f"cyme:{program}")
        processes.kill(pid)
        return hit

    repeat(Row(f"{program} killed", broker_name, 15, 3), fleet, kill).check()


@pytest.mark.faults
def test_supervisord(fleet: Fleet, broker_name: str) -> None:
    def kill(_: int) -> Hit:
        assert fleet.host.process is not None
        hit = Hit.now(*TREE, *fleet.wanted)
        fleet.host.process.kill()
        assert fleet.host.process.wait(10) == -signal.SIGKILL
        fleet.host.start()
        return hit

    repeat(Row("supervisord killed", broker_name, 30, 4), fleet, kill).check()
