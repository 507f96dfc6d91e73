"""A branch that dies anywhere in a plan, and the next one that ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from cyme_supd.branch import reconciler
from cyme_supd.domain.plan import Action, Forget
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import Observation
from cyme_supd.errors import Conflict, CymeError
from cyme_supd.testing.launches import MemoryLaunches
from tests.simulation.branch import BRANCH
from tests.simulation.people import People
from tests.simulation.running import report
from tests.simulation.world import Broken, World

#: What is asked for, one after the other, each when the one before is done.
Life = tuple[Callable[[People], str], ...]
LIFE: Life = (
    People.create,
    People.consume,
    People.create,
    People.consume,
    People.autoscale,
    People.redeclare,
    People.change_pool,
    People.consume_no_longer,
    People.disable,
    People.change_stop_timeout,
    People.enable,
    People.remove_queue,
    People.restart,
    People.change_app,
    People.move_app,
    People.delete,
    People.delete,
)
Picture = dict[str, Any]


def live(
    seed: int, life: Life, die_at: int | None = None, only: int | None = None
) -> Iterator[World]:
    """A world in which one edit after the other comes true; given after each.

    In the edit numbered *only*, the branch dies at its call *die_at*.
    """
    with World(seed, edits=Random(seed)) as world:
        for number, edit in enumerate(life):
            world.faults.calls = world.faults.last_act = 0
            if die_at is not None and number == only:
                world.faults.die_at_call(die_at)
            _ask(world, edit)
            world.run_for(0.1)
            world.settle()
            yield world


def _ask(world: World, edit: Callable[[People], str]) -> None:
    try:
        text = edit(world.people)
    except CymeError as exc:
        text = exc.message
    world.scheduler.tell("somebody: %s", text)


def picture(world: World) -> Picture:
    """All that counts, and nothing of how it came about."""
    with world.store.reading() as view:
        workers = view.workers(BRANCH)
        statuses = view.statuses(BRANCH)
    return {
        "wanted": workers,
        "told": {
            name: (each.generation, each.state, each.ready, each.consuming, each.queues)
            for name, each in statuses.items()
        },
        "sections": dict(world.disk.sections),
        "written": {name: world.disk.written(name) for name in sorted(world.disk.folders())},
        "programs": {name: each.state for name, each in world.supervisord.programs.items()},
        "workers": {
            each.name: (each.worker.identity, each.worker.queues, each.worker.autoscale)
            for each in world.processes
            if each.worker is not None
        },
    }


def interruptions(seed: int, life: Life) -> Iterator[tuple[int, int, Picture]]:
    """Every edit, with every call of the branch's until it had come true."""
    for number, world in enumerate(live(seed, life)):
        # After its last act it only looks.
        for call in range(1, min(world.faults.calls, world.faults.last_act + 4) + 1):
            yield number, call, picture(world)


def replay(seed: int, life: Life, number: int, call: int, wanted: Picture) -> None:
    for at, world in enumerate(live(seed, life, call, number)):
        if at == number:
            # What came last may still have to be seen.
            world.run_for(0.5)
            world.settle()
            if picture(world) != wanted:
                text = f"edit {number} ends otherwise when the branch dies at its call {call}"
                raise Broken(report(world, 0, text))
            return


def replay_all(seed: int, life: Life = LIFE) -> int:
    """How many that were."""
    count = 0
    for number, call, wanted in interruptions(seed, life):
        replay(seed, life, number, call, wanted)
        count += 1
    return count


def test_every_plan_ends_the_same_whenever_the_branch_dies() -> None:
    assert replay_all(seed=1) > 80


def test_a_plan_that_is_not_taken_up_again_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = reconciler.plan  # type: ignore[attr-defined]

    def wrong(worker: Worker, wanted: Any, seen: Observation, *more: Any) -> tuple[Action, ...]:
        if worker.instance.is_deleting and seen.process is None:
            return (Forget(worker.name, "its program is gone"),)
        planned: tuple[Action, ...] = right(worker, wanted, seen, *more)
        return planned

    monkeypatch.setattr(reconciler, "plan", wrong)

    with pytest.raises(Broken, match="files are left"):
        replay_all(1, (People.create, People.delete))


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(2, 10))
def test_every_plan_of_many_lives(seed: int) -> None:
    assert replay_all(seed) > 80


def _delete_while_it_works(world: World) -> None:
    """Its supervisord was killed, and it has a task that it finishes first."""
    world.people.create_one("w1")
    world.settle()
    (process,) = world.processes
    assert process.worker is not None
    process.worker.tasks.append(world.scheduler.now_s + 30.0)
    world.supervisord.die()
    world.branch.die()
    world.begin_supervisord()
    world.people.delete_one("w1")
    world.run_for(3.0)


def test_a_name_is_not_free_before_its_last_process_has_ended() -> None:
    with World(1) as world:
        _delete_while_it_works(world)
        with pytest.raises(Conflict):
            world.people.create_one("w1")

        world.run_for(40.0)
        world.people.create_one("w1")
        world.settle()


def test_without_that_two_of_one_name_would_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryLaunches, "is_locked", lambda *_: False)

    with World(1) as world:
        _delete_while_it_works(world)
        world.people.create_one("w1")

        with pytest.raises(Broken, match="two of w1 run"):
            world.run_for(5.0)
