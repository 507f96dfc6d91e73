"""What runners have said, settled in one transaction; and what it leads to afterwards."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cyme_supd.clock import Clock
from cyme_supd.domain.job import Job, Overlap, Run, RunEvent, RunOutput, RunStatus
from cyme_supd.domain.orders import Cancel, Claim, Grant, Refusal, Withdrawal
from cyme_supd.domain.ports import Store, Transaction
from cyme_supd.domain.running import Outcome, Said, cancel, has_ended, hear, lose, release

#: What is said, and the queue of the runner that it is for.
Letter = tuple[str, Grant | Refusal | Cancel]


@dataclass
class Batch:
    """Runs that are locked, with all that becomes of them: kept together, or not at all."""

    stored: Mapping[str, Run]
    jobs: Mapping[str, Job]
    runs: dict[str, Run] = field(default_factory=dict)
    events: list[RunEvent] = field(default_factory=list)
    outputs: dict[str, RunOutput] = field(default_factory=dict)

    @classmethod
    def of(cls, tx: Transaction, ids: Collection[str]) -> Batch:
        stored = {run.id: run for run in tx.lock_runs(ids)}
        jobs = {job.id: job for job in tx.jobs_with({run.job_id for run in stored.values()})}
        return cls(stored, jobs, dict(stored))

    def job_of(self, run: Run | None) -> Job | None:
        return None if run is None else self.jobs.get(run.job_id)

    def add(self, outcome: Outcome) -> None:
        if outcome.run is not None:
            self.runs[outcome.run.id] = outcome.run
        self.events += outcome.events
        if outcome.output is not None:
            self.outputs[outcome.output.run_id] = outcome.output

    def save(self, tx: Transaction) -> None:
        tx.save_claimed(run for id, run in self.runs.items() if run != self.stored[id])
        tx.add_run_events(self.events)
        tx.save_outputs(self.outputs.values())

    def freed(self) -> set[str]:
        """Ids of jobs of which a run has ended that others wait for."""
        ended = (run for id, run in self.runs.items() if has_ended(self.stored[id], run))
        jobs = (self.job_of(run) for run in ended)
        return {job.id for job in jobs if job is not None and job.overlap == Overlap.QUEUE}


def settle(store: Store, clock: Clock, heard: Sequence[Said]) -> list[Letter]:
    """Store what was *heard*, in this order; the answers come back, to be said after it."""
    letters: dict[tuple[str, str], Letter] = {}
    with store.recording() as tx:
        batch = Batch.of(tx, {said.run for said in heard})
        withdrawn = tx.withdrawn({said.nonce for said in heard})
        given_up: set[str] = set()
        now = tx.database_now(clock.now())
        for said in heard:
            run = batch.runs.get(said.run)
            is_withdrawn = said.nonce in withdrawn
            outcome = hear(run, batch.job_of(run), said, is_withdrawn, now)
            batch.add(outcome)
            if isinstance(said, Withdrawal) and run is not None and not is_withdrawn:
                withdrawn.add(said.nonce)
                given_up.add(said.nonce)
            if isinstance(said, Claim) and outcome.answer is not None:
                letters[said.run, said.nonce] = said.reply, outcome.answer
        batch.save(tx)
        tx.add_withdrawals(given_up, now)
        freed = batch.freed()
    let_go_on(store, clock, freed)
    return [letter for letter in letters.values() if not _is_over(letter, given_up)]


def let_go_on(store: Store, clock: Clock, job_ids: Collection[str]) -> int:
    """Have the next runs of these jobs ordered, where none is under way; how many those are.

    By itself: what is looked at here has to be as it is once the jobs are locked.
    """
    if not job_ids:
        return 0
    with store.recording() as tx:
        jobs = {job.id: job for job in tx.lock_jobs(job_ids)}
        busy, held = tx.busy_jobs(job_ids), _by_job(tx.held_runs(job_ids))
        now = tx.database_now(clock.now())
        released = [
            run for id, runs in held.items() for run in release(jobs.get(id), runs, id in busy, now)
        ]
        # One of them may have been cancelled since.
        still = {run.id for run in tx.lock_runs([run.id for run in released]) if _is_held(run)}
        tx.save_claimed(run for run in released if run.id in still)
    return len(still)


def lose_silent(store: Store, clock: Clock, ids: Collection[str], before: datetime) -> list[Run]:
    """Those of these runs that are still running, and not heard of since before then, are lost."""
    with store.recording() as tx:
        batch = Batch.of(tx, ids)
        now = tx.database_now(clock.now())
        lost = [run for run in batch.stored.values() if _is_silent(run, before)]
        for run in lost:
            batch.add(lose(run, batch.job_of(run), now))
        batch.save(tx)
        freed = batch.freed()
    let_go_on(store, clock, freed)
    return lost


def cancel_unwanted(store: Store, clock: Clock, limit: int) -> list[tuple[Run, Letter]]:
    """End those that are queued; what is to be said of the running ones comes back, with each."""
    with store.reading() as view:
        ids = [run.id for run in view.unwanted_runs(limit)]
    if not ids:
        return []
    with store.recording() as tx:
        batch = Batch.of(tx, ids)
        now = tx.database_now(clock.now())
        for run in batch.stored.values():
            if run.status == RunStatus.QUEUED:
                batch.add(cancel(run, now))
        batch.save(tx)
        freed = batch.freed()
    let_go_on(store, clock, freed)
    running = (run for run in batch.stored.values() if run.status == RunStatus.RUNNING)
    return [
        (run, (run.reply, Cancel(run.id, run.nonce))) for run in running if run.reply and run.nonce
    ]


def _is_over(letter: Letter, given_up: Collection[str]) -> bool:
    """Whoever gave the claim up in the same breath hears no answer any more."""
    return letter[1].nonce in given_up


def _is_silent(run: Run, before: datetime) -> bool:
    is_running = run.status == RunStatus.RUNNING
    return is_running and run.heard_at is not None and run.heard_at < before


def _is_held(run: Run) -> bool:
    return run.status == RunStatus.QUEUED and run.order_at is None


def _by_job(runs: Iterable[Run]) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.job_id, []).append(run)
    return found
