"""Use-cases of runs: to have a job run now, to end a run, and to see what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cyme_supd.domain.audit import CREATE, DELETE, EDIT, RUN, Change
from cyme_supd.domain.job import (
    Job,
    Overlap,
    Run,
    RunEvent,
    RunOutput,
    RunStatus,
    run_id,
)
from cyme_supd.domain.jobstore import RunQuery
from cyme_supd.domain.logurl import log_url
from cyme_supd.domain.naming import nearest
from cyme_supd.domain.ports import Transaction
from cyme_supd.domain.values import shown
from cyme_supd.errors import Conflict, Invalid, NotFound
from cyme_supd.service.acting import acting
from cyme_supd.service.context import Context
from cyme_supd.service.forgetting import forget_old, forget_surplus
from cyme_supd.service.jobs import check_id, held_elsewhere
from cyme_supd.service.runtails import RunTail

UNDER_WAY = (RunStatus.QUEUED, RunStatus.RUNNING)
#: Of a job whose runs wait for one another, at most so many wait.
MOST_HELD = 100
#: For so long one request forgets runs.
PRUNE_S = 2.0


@dataclass(frozen=True, slots=True)
class RunDetails:
    """``output`` is the end of what it printed, ``log_url`` where its lines are collected."""

    run: Run
    events: Sequence[RunEvent] = ()
    output: RunOutput | None = None
    log_url: str | None = None


@dataclass(frozen=True, slots=True)
class Printed:
    """*data*, from the byte *begin* on, of the *size* bytes that there are.

    ``is_whole`` says whether all of them can be had here, and not their end alone.
    """

    data: bytes
    begin: int
    size: int
    is_whole: bool


class Runs:
    def __init__(self, context: Context) -> None:
        self._context = context

    def find(self, query: RunQuery) -> list[Run]:
        for status in query.statuses:
            if status not in list(RunStatus):
                raise Invalid(
                    f"status: {shown(status)} is none",
                    nearest(status[:40], list(map(str, RunStatus))),
                )
        with self._context.store.reading() as view:
            return view.runs(query)

    def get(self, id: str) -> RunDetails:
        check_id("run", id)
        with self._context.store.reading() as view, held_elsewhere():
            run = view.run(id)
            return RunDetails(run, view.run_events(id), view.run_output(id), self.log_url(run))

    def log_url(self, run: Run) -> str | None:
        return log_url(self._context.here.run_log_url, run, self._context.clock.now())

    # Changing

    def start(self, job: str) -> Run:
        """Have it run once, now, whatever its schedule says and whoever holds it.

        While another run of it is under way its ``overlap`` decides as ever: ``Conflict``
        for ``skip``, and for ``queue`` it waits for that one to end.
        """
        check_id("job", job)
        with self._context.store.writing() as tx, held_elsewhere():
            # Whoever makes runs of its fire times has it locked, too.
            tx.lock_jobs([job])
            found = tx.job(job)
            run = self._made(tx, found)
            tx.add_runs([run])
            tx.add_run_events(
                [RunEvent(run.id, run.queued_at, "queued", f"asked for{_by() or ' by hand'}")]
            )
            self._note(tx, CREATE, run, None, {"run": run.id, "category": run.category})
        self._context.hints.send()
        return run

    def _made(self, tx: Transaction, job: Job) -> Run:
        others = [run for status in UNDER_WAY for run in _of(tx, job, status)]
        if others and job.overlap == Overlap.SKIP:
            raise Conflict(
                f"run {others[0].id} of {job.name!r} is {others[0].status}, and it is to skip then",
                f"wait for its end, or POST /api/runs/{others[0].id}/cancel/",
            )
        is_held = bool(others) and job.overlap == Overlap.QUEUE
        if is_held and len(others) > MOST_HELD:
            raise Conflict(f"{MOST_HELD} runs of {job.name!r} wait for one another already")
        now = self._context.clock.now()
        fire_at = self._free(tx, job, now)
        return Run(
            run_id(job.id, fire_at),
            job.id,
            job.category,
            job.name,
            fire_at,
            RunStatus.QUEUED,
            now,
            branch=self._context.here.id,
            app=job.app,
            order_at=None if is_held else now,
        )

    def _free(self, tx: Transaction, job: Job, at: datetime) -> datetime:
        """*at*, or soon after: a moment of which the job has no run yet."""
        try:
            while tx.run(run_id(job.id, at)):
                at += timedelta(microseconds=1)
        except NotFound:
            return at
        raise AssertionError("unreachable")

    def cancel(self, id: str) -> Run:
        """End it: at once where nobody has begun it, else by whoever runs it, soon.

        Raises ``Conflict`` where it has ended.
        """
        check_id("run", id)
        with self._context.store.writing() as tx, held_elsewhere():
            before, now = tx.run(id), self._context.clock.now()
            if not tx.cancel_run(id, now, f"cancelled{_by()}"):
                raise Conflict(f"run {id} has ended: it is {before.status}")
            after = tx.run(id)
            if after != before:
                word = "cancelling" if after.status == RunStatus.RUNNING else "cancelled"
                tx.add_run_events([RunEvent(id, now, word, _by().strip())])
                self._note(tx, EDIT, after, {"status": str(before.status)}, {"status": word})
        self._context.hints.send()
        return after

    def _note(
        self,
        tx: Transaction,
        verb: str,
        run: Run,
        before: dict[str, str] | None,
        after: dict[str, str] | None,
    ) -> None:
        change = Change(verb, RUN, run.app or "", run.name, before, after)
        tx.save_audit(self._context.audit.of([change]))

    # What it printed

    def output(self, id: str, begin: int | None, size: int) -> Printed:
        """*size* bytes of it from *begin* on, or the end of it.

        All of it is where it ran; elsewhere only what the store has, its end.
        """
        found = self.get(id)
        here = self._context.run_logs.part(found.run.job_id, id, begin, size)
        if here is not None:
            length, data = here
            start = max(0, length - len(data)) if begin is None else min(begin, length)
            return Printed(data, start, length, True)
        return _stored(found.output, begin, size)

    def follow(self, id: str, place: str, size: int) -> RunTail:
        """From *place* on, or from the last *size* bytes where that is none."""
        return RunTail(self._context, self.get(id).run, place, size)

    # Forgetting

    def prune(self, kept: int | None, older_s: float | None) -> tuple[int, bool]:
        """Forget those that have ended: all but the latest *kept* of each job, and those older.

        Many transactions, each a short one. How many they were comes back, and whether
        there was the time for all.
        """
        if kept is None and older_s is None:
            raise Invalid("keep or older: one of them is needed", "keep=100, or older=90d")
        context = self._context
        until = context.clock.monotonic() + PRUNE_S

        def has_time() -> bool:
            return context.clock.monotonic() < until

        store, clock, count = context.store, context.clock, 0
        if older_s is not None:
            count += forget_old(store, clock, older_s, has_time)
        if kept is not None:
            count += forget_surplus(store, clock, kept, "", has_time)[0]
        if count:
            done = Change(DELETE, RUN, "", "", {"runs": count}, {"runs": 0})
            with context.store.writing() as tx:
                tx.save_audit(context.audit.of([done]))
        return count, has_time()


def _of(tx: Transaction, job: Job, status: str) -> list[Run]:
    return tx.runs(RunQuery(job_id=job.id, statuses=(status,), limit=MOST_HELD + 1))


def _by() -> str:
    name = acting().name
    return f" by {name}" if name else ""


def _stored(output: RunOutput | None, begin: int | None, size: int) -> Printed:
    if output is None:
        return Printed(b"", 0, 0, False)
    first = output.size - len(output.tail)
    start = max(first, output.size - size if begin is None else begin)
    data = output.tail[start - first :][:size]
    return Printed(data, min(start, output.size), output.size, first == 0)
