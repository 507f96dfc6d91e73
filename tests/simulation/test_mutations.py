"""The simulation sees mistakes: each of these, made in the product, breaks a law."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cyme_supd.branch import care, reconciler
from cyme_supd.branch.actor import Actor
from cyme_supd.branch.reconciler import Reconciler
from cyme_supd.branch.workqueue import Work, WorkQueue
from cyme_supd.domain import healing, health, plan, restarts
from cyme_supd.domain.plan import Action, Cancel, Consume, Forget, Start, Stop
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import Observation
from cyme_supd.errors import Unavailable
from cyme_supd.supervisord.programs import SupervisordPrograms
from tests.simulation.running import simulate
from tests.simulation.world import Broken, World
from tests.unit.values import INTERVAL_S

SEEDS = range(1, 9)
STEPS = 15_000

Patch = pytest.MonkeyPatch
Mutation = Callable[[Patch], None]
Planned = tuple[Action, ...]


def mistaken_plan(patch: Patch, change: Callable[[Worker, Observation, Planned], Planned]) -> None:
    """Have *change* put something else in the place of what is planned."""
    right = reconciler.plan  # type: ignore[attr-defined]

    def wrong(worker: Worker, wanted: Any, seen: Observation, *more: Any) -> Planned:
        return change(worker, seen, right(worker, wanted, seen, *more))

    patch.setattr(reconciler, "plan", wrong)


def stops_who_is_silent(patch: Patch) -> None:
    def change(worker: Worker, seen: Observation, planned: Planned) -> Planned:
        is_late = seen.answer is not None and seen.now - seen.answer.at > 3 * INTERVAL_S
        is_up = seen.process is not None and seen.process.state.is_up
        return (Stop(worker.name, "silent"),) if is_late and is_up else planned

    mistaken_plan(patch, change)


def stops_when_the_broker_is_away(patch: Patch) -> None:
    def change(worker: Worker, seen: Observation, planned: Planned) -> Planned:
        is_up = seen.process is not None and seen.process.state.is_up
        is_away = seen.pulse.is_well is False
        return (Stop(worker.name, "no broker"),) if is_away and is_up else planned

    mistaken_plan(patch, change)


def takes_an_unreadable_store_for_empty(patch: Patch) -> None:
    right = Reconciler.full_pass

    def wrong(self: Reconciler) -> None:
        try:
            right(self)
        except Unavailable:
            for name in sorted(self._programs.processes()):
                self._programs.stop([name])
            raise

    patch.setattr(Reconciler, "full_pass", wrong)


def forgets_what_supervisord_lists_as_gone(patch: Patch) -> None:
    def change(worker: Worker, seen: Observation, planned: Planned) -> Planned:
        is_gone = seen.process is None and seen.written is not None
        return (Forget(worker.name, "gone"),) if is_gone else planned

    mistaken_plan(patch, change)


def forgets_before_it_has_stopped(patch: Patch) -> None:
    def change(worker: Worker, _seen: Observation, planned: Planned) -> Planned:
        is_stopping = worker.instance.is_deleting and any(isinstance(p, Stop) for p in planned)
        return (*planned, Forget(worker.name, "soon")) if is_stopping else planned

    mistaken_plan(patch, change)


def unlinks_before_it_removes(patch: Patch) -> None:
    right = Actor._remove

    def wrong(self: Actor, worker: Worker) -> None:
        self._launches.remove(worker.name)
        right(self, worker)

    patch.setattr(Actor, "_remove", wrong)


def starts_what_is_disabled(patch: Patch) -> None:
    def change(worker: Worker, seen: Observation, planned: Planned) -> Planned:
        is_down = seen.process is not None and seen.process.state.is_down
        is_kept = not worker.instance.is_deleting
        return (*planned, Start(worker.name, "down")) if is_down and is_kept else planned

    mistaken_plan(patch, change)


def cancels_nothing(patch: Patch) -> None:
    def change(_worker: Worker, _seen: Observation, planned: Planned) -> Planned:
        return tuple(action for action in planned if not isinstance(action, Cancel))

    mistaken_plan(patch, change)


def tells_again_and_again(patch: Patch) -> None:
    def change(worker: Worker, seen: Observation, planned: Planned) -> Planned:
        has_answered = seen.answer is not None and worker.queues
        return (*planned, Consume(worker.name, "sure", ())) if has_answered else planned

    mistaken_plan(patch, change)


def believes_the_dead(patch: Patch) -> None:
    """An answer counts, whatever process it is from."""

    def wrong(seen: Observation) -> bool:
        return seen.answer is not None and seen.process is not None and seen.process.state.is_up

    for module in (plan, health, reconciler):
        patch.setattr(module, "is_answering", wrong)


def keeps_old_declarations(patch: Patch) -> None:
    patch.setattr(plan, "_has_other_declarations", lambda *_: False)


def keeps_old_processes(patch: Patch) -> None:
    for module in (plan, health):
        patch.setattr(module, "is_outdated", lambda *_: False)


def disables_who_does_not_stay_up(patch: Patch) -> None:
    """The spec is not the reconciler's to edit."""
    right = Reconciler._write

    def wrong(self: Reconciler, changed: Any, gone: Any) -> None:
        right(self, changed, gone)
        with self._store.writing() as tx:
            for status in changed:
                if status.state == "BACKOFF":
                    stored = tx.instance(status.name)
                    tx.save_instance(replace(stored, is_enabled=False))

    patch.setattr(Reconciler, "_write", wrong)


def looks_only_at_what_is_new(patch: Patch) -> None:
    """Without the full pass that is promised."""
    right = Reconciler.full_pass

    def wrong(self: Reconciler) -> None:
        if self._has_statuses:
            self._remote.ask_all()
            self.partial_pass(Work(is_hinted=True))
        else:
            right(self)

    patch.setattr(Reconciler, "full_pass", wrong)
    patch.setattr(WorkQueue, "put", lambda *_: None)


def leaves_a_section_of_somebody_elses(patch: Patch) -> None:
    def wrong(self: SupervisordPrograms, name: str, stop_timeout_s: int) -> None:
        self._sections.write(name, stop_timeout_s)
        self._supervisord.apply([name])

    patch.setattr(SupervisordPrograms, "apply", wrong)


def launches_without_a_lock(patch: Patch) -> None:
    patch.setattr(World, "has_locks", False)


def finds_nobody_ill(patch: Patch) -> None:
    patch.setattr(care, "diagnose", lambda *_: None)


def minds_no_queue_that_grows(patch: Patch) -> None:
    patch.setattr(care, "stuck", lambda *_: None)


def takes_one_lost_answer_for_the_end(patch: Patch) -> None:
    patch.setattr(healing, "HUNG_ASKS", 1)
    patch.setattr(healing, "silence_allowed_s", lambda _worker: 0)


def gives_up_on_who_ends_twice(patch: Patch) -> None:
    patch.setattr(restarts, "FREE_ENDS", 1)


MUTATIONS: dict[Mutation, str] = {
    stops_who_is_silent: "stop .*, which is as it should be",
    stops_when_the_broker_is_away: "stop .*, which is as it should be",
    takes_an_unreadable_store_for_empty: "stop .*, (without knowing|which is as it should)",
    forgets_what_supervisord_lists_as_gone: "forgot .*, which nobody deleted",
    forgets_before_it_has_stopped: "left|not wanted|two of",
    unlinks_before_it_removes: "went before its program",
    starts_what_is_disabled: "start .*, which should not run",
    cancels_nothing: "consumes from",
    tells_again_and_again: "and yet|not within",
    believes_the_dead: "told to be ready, and has never answered",
    keeps_old_declarations: "consumes from|the store says",
    keeps_old_processes: "was launched with something else",
    disables_who_does_not_stay_up: "edited",
    looks_only_at_what_is_new: "not within",
    leaves_a_section_of_somebody_elses: "there is a section of",
    launches_without_a_lock: "two of",
    finds_nobody_ill: "is not well",
    minds_no_queue_that_grows: "is not well",
    takes_one_lost_answer_for_the_end: "stop .*, which is as it should be",
    gives_up_on_who_ends_twice: "stop .*, which is as it should be",
}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_mistake_is_seen(mutation: Mutation, monkeypatch: Patch) -> None:
    mutation(monkeypatch)

    assert re.search(MUTATIONS[mutation], first_complaint())


def first_complaint() -> str:
    """The law that is broken; empty where none is in all of the seeds."""
    for seed in SEEDS:
        try:
            simulate(seed, STEPS)
        except Broken as exc:
            return str(exc).splitlines()[0]
    return ""
