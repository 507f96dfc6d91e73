"""Bad times and good times of whole hosts, decided by a seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import SystemRandom

import pytest

from tests.simulation.running import simulate
from tests.simulation.world import Broken, World

STEPS = int(os.environ.get("CYME_SIMULATION_STEPS", "10000"))
SEED = os.environ.get("CYME_SIMULATION_SEED")
SEEDS = [int(SEED)] if SEED else list(range(1, 11))
MANY = 40
TELL = (
    "import sys; from tests.simulation.running import simulate;"
    "print(simulate(1, 3000).scheduler.story())"
)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_host_stays_right(seed: int) -> None:
    world = simulate(seed, STEPS)
    assert world.scheduler.steps >= STEPS


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_hosts_nobody_has_seen_stay_right() -> None:
    for _ in range(MANY):
        simulate(SystemRandom().randrange(2**32), 25_000)


def test_a_failure_says_how_to_see_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "has_locks", False)

    with pytest.raises(Broken) as first:
        simulate(1, 50_000)
    with pytest.raises(Broken) as again:
        simulate(1, 50_000)

    assert str(first.value) == str(again.value)
    assert "CYME_SIMULATION_SEED=1 CYME_SIMULATION_STEPS=50000 pytest" in str(first.value)
    assert len(str(first.value).splitlines()) > 30


@pytest.mark.faults
def test_another_process_tells_the_same_story() -> None:
    stories = {
        subprocess.run(
            [sys.executable, "-c", TELL],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(stories) == 1
