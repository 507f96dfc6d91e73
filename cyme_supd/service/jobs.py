"""Use-cases of jobs: what is run on a schedule, and what became of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cyme_supd.domain.job import Category, Job, Run
from cyme_supd.domain.jobfields import check_category, planned, read_jobs, settle
from cyme_supd.domain.jobstore import LATEST_RUNS, JobQuery
from cyme_supd.domain.ports import Transaction
from cyme_supd.domain.schedule import upcoming
from cyme_supd.domain.values import shown
from cyme_supd.errors import Invalid, NotFound
from cyme_supd.schedules.parsing import parse_schedule
from cyme_supd.schedules.words import in_words
from cyme_supd.service.claims import CATEGORY, Check
from cyme_supd.service.context import Context

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


class NotHeldHere(NotFound):
    """Another branch may have it."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """The names of the jobs of a category that were not so before."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JobDetails:
    """``upcoming`` are its next fire times, as many as were asked for, ``words`` its schedule."""

    job: Job
    runs: Sequence[Run] = ()
    upcoming: Sequence[datetime] = ()
    words: str = ""


class Jobs:
    def __init__(self, context: Context) -> None:
        self._context = context

    # Categories

    def categories(self) -> list[Category]:
        with self._context.store.reading() as view:
            return view.categories()

    def has_category(self, name: str) -> bool:
        check_category(name)
        with self._context.store.reading() as view:
            try:
                return view.category(name) is not None
            except NotFound:
                return False

    def category(self, name: str) -> tuple[Category, list[Job]]:
        check_category(name)
        with self._context.store.reading() as view, held_elsewhere():
            return view.category(name), view.jobs_in(name)

    def replace(self, category: str, given: Sequence[Any], force: bool = False) -> Replaced:
        """Have the category consist of these jobs, all of them or none.

        Raises ``Invalid`` naming the job and the field. Of a new category the others
        are asked first whether it is theirs, or about to be, unless with *force*.
        """
        wanted = read_jobs(given)
        if force or self.has_category(category):
            return self._settle(category, wanted)
        with self._context.claims.held(category, CATEGORY) as check:
            return self._settle(category, wanted, check)

    def _settle(
        self, category: str, wanted: Sequence[Mapping[str, Any]], check: Check | None = None
    ) -> Replaced:
        check_category(category)
        with self._context.store.writing() as tx:
            if check is not None:
                check(tx)
            _check_apps(tx, wanted)
            # By the clock that they are fired by.
            now = tx.database_now(self._context.clock.now())
            settled = settle(category, tx.jobs_in(category), wanted, now, parse_schedule)
            tx.add_category(category)
            tx.remove_jobs([job.id for job in settled.removed])
            tx.save_jobs([after for _, after in settled.changed])
            tx.add_jobs(settled.added)
        self._context.hints.send()
        changed = [after for _, after in settled.changed]
        return Replaced(_names(settled.added), _names(changed), _names(settled.removed))

    def remove(self, category: str) -> None:
        """With its jobs; their runs stay."""
        check_category(category)
        with self._context.store.writing() as tx, held_elsewhere():
            tx.remove_category(category)

    # Jobs

    def find(self, query: JobQuery) -> list[JobDetails]:
        with self._context.store.reading() as view:
            jobs = view.jobs(query)
            runs = view.latest_runs([job.id for job in jobs], LATEST_RUNS)
        return [JobDetails(job, runs[job.id]) for job in jobs]

    def get(self, id: str, next_count: int = 0) -> JobDetails:
        """With as many of its next fire times as it would have if nobody held it."""
        check_id("job", id)
        with self._context.store.reading() as view, held_elsewhere():
            job = view.job(id)
            runs = view.latest_runs([id], LATEST_RUNS)[id]
        schedule = parse_schedule(job.schedule, job.timezone)
        times = upcoming(schedule, self._context.clock.now(), next_count)
        return JobDetails(job, runs, times, in_words(job.schedule, job.timezone))

    def pause(self, id: str) -> JobDetails:
        """Let it not be run until somebody resumes it; what is under way goes on."""
        return self._hold(id, True)

    def resume(self, id: str) -> JobDetails:
        """Run it again, from its next fire time on."""
        return self._hold(id, False)

    def _hold(self, id: str, is_paused: bool) -> JobDetails:
        check_id("job", id)
        with self._context.store.writing() as tx, held_elsewhere():
            job = tx.job(id)
            if job.is_paused != is_paused:
                schedule = parse_schedule(job.schedule, job.timezone)
                wanted = replace(job, is_paused=is_paused)
                now = tx.database_now(self._context.clock.now())
                tx.save_jobs([planned(wanted, schedule, now)])
        self._context.hints.send()
        return self.get(id)


@contextmanager
def held_elsewhere() -> Iterator[None]:
    """What is not here may be on another branch."""
    try:
        yield
    except NotFound as exc:
        raise NotHeldHere(exc.message, exc.hint) from None


def check_id(kind: str, id: str) -> None:
    # Not every database can be asked for every text.
    if not _ID.fullmatch(id):
        raise NotFound(f"there is no {kind} {shown(id)}")


def _check_apps(tx: Transaction, given: Iterable[Mapping[str, Any]]) -> None:
    known: set[str] = set()
    for fields in given:
        app = fields.get("app")
        if app is None or app in known:
            continue
        try:
            tx.app(app)
        except NotFound as exc:
            raise Invalid(f"job {shown(fields['name'])}: app: {exc.message}", exc.hint) from None
        known.add(app)


def _names(jobs: Iterable[Job]) -> tuple[str, ...]:
    return tuple(job.name for job in jobs)
