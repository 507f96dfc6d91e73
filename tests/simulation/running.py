"""Runs worlds, and says how to run one again that went wrong."""

from __future__ import annotations

from tests.simulation.world import Broken, World


def simulate(seed: int, steps: int) -> World:
    """A world of *seed*, *steps* long; raises :exc:`Broken` with its last steps."""
    with World(seed) as world:
        try:
            world.run(steps)
        except Broken as exc:
            raise Broken(report(world, steps, str(exc))) from None
    return world


def report(world: World, steps: int, text: str) -> str:
    again = f"CYME_SIMULATION_SEED={world.seed} CYME_SIMULATION_STEPS={steps}"
    return "\n".join(
        [
            f"seed {world.seed}, step {world.scheduler.steps}: {text}",
            *world.scheduler.story(),
            f"again: {again} pytest tests/simulation/test_simulation.py",
        ]
    )
