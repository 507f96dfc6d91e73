"""The jobs and runs of the store in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from cyme_supd.domain.job import Category, Job, Run, RunEvent
from cyme_supd.domain.jobstore import JobQuery, RunQuery
from cyme_supd.errors import Conflict, NotFound
from cyme_supd.testing.claiming import MemoryClaims, MemoryClaimsEdit
from cyme_supd.testing.dispatching import MemoryDispatched, MemoryDispatchedEdit
from cyme_supd.testing.state import State


class MemoryJobs(MemoryClaims, MemoryDispatched):
    _state: State

    def categories(self) -> list[Category]:
        return [self.category(name) for name in sorted(self._state.categories)]

    def category(self, name: str) -> Category:
        if name not in self._state.categories:
            raise NotFound(f"there is no category {name!r}")
        return Category(name, len(self.jobs_in(name)))

    def jobs(self, query: JobQuery) -> list[Job]:
        found = [each for each in self._state.jobs.values() if _is_wanted(each, query)]
        key: Callable[[Job], tuple[str, str]] = _name
        if query.sort == "next_fire_at":
            rest = sorted((each for each in found if each.next_fire_at is None), key=_id)
            timed = [each for each in found if each.next_fire_at is not None]
            ordered = sorted(timed, key=_time, reverse=query.is_descending) + rest
        else:
            ordered = sorted(found, key=key, reverse=query.is_descending)
        return ordered[query.offset : query.offset + query.limit]

    def job(self, id: str) -> Job:
        if id not in self._state.jobs:
            raise NotFound(f"there is no job {id!r}")
        return self._state.jobs[id]

    def jobs_with(self, ids: Collection[str]) -> list[Job]:
        return [self._state.jobs[id] for id in ids if id in self._state.jobs]

    def jobs_in(self, category: str) -> list[Job]:
        theirs = (each for each in self._state.jobs.values() if each.category == category)
        return sorted(theirs, key=_name)

    def due(self, now: datetime, limit: int) -> list[Job]:
        found = [each for each in self._state.jobs.values() if each.due_at and each.due_at <= now]
        return sorted(found, key=lambda job: (str(job.due_at), job.id))[:limit]

    def next_due_at(self) -> datetime | None:
        times = (each.due_at for each in self._state.jobs.values() if each.due_at)
        return min(times, default=None)

    def latest_runs(self, job_ids: Collection[str], count: int) -> Mapping[str, list[Run]]:
        return {id: self.runs(RunQuery(job_id=id, limit=count)) for id in job_ids}

    def runs(self, query: RunQuery) -> list[Run]:
        found = [each for each in self._state.runs.values() if _is_meant(each, query)]
        found.sort(key=lambda run: (run.fire_at, run.id), reverse=True)
        return found[query.offset : query.offset + query.limit]

    def run(self, id: str) -> Run:
        if id not in self._state.runs:
            raise NotFound(f"there is no run {id!r}")
        return self._state.runs[id]

    def run_events(self, run_id: str) -> list[RunEvent]:
        # Those of runs that are forgotten stay in the list: by their places they have numbers.
        if run_id not in self._state.runs:
            return []
        return [each for each in self._state.run_events if each.run_id == run_id]


class MemoryJobsEdit(MemoryClaimsEdit, MemoryDispatchedEdit):
    _state: State

    def add_category(self, name: str) -> None:
        self._state.categories.add(name)

    def remove_category(self, name: str) -> None:
        if name not in self._state.categories:
            raise NotFound(f"there is no category {name!r}")
        self._state.categories.remove(name)
        self.remove_jobs([job.id for job in self._state.jobs.values() if job.category == name])

    def add_jobs(self, added: Iterable[Job]) -> None:
        for job in added:
            if job.id in self._state.jobs or job.category not in self._state.categories:
                raise Conflict("this collides with what is stored")
            self._state.jobs[job.id] = _plain(job)

    def save_jobs(self, changed: Iterable[Job]) -> None:
        for job in changed:
            if job.id in self._state.jobs:
                self._state.jobs[job.id] = _plain(job)

    def remove_jobs(self, ids: Collection[str]) -> None:
        for id in ids:
            self._state.jobs.pop(id, None)

    def add_runs(self, added: Iterable[Run]) -> None:
        for run in added:
            taken = {(each.job_id, each.fire_at) for each in self._state.runs.values()}
            if run.id in self._state.runs or (run.job_id, run.fire_at) in taken:
                raise Conflict("this collides with what is stored")
            self._state.runs[run.id] = run

    def save_runs(self, changed: Iterable[Run]) -> None:
        for run in changed:
            if run.id in self._state.runs:
                self._state.runs[run.id] = run

    def add_run_events(self, events: Iterable[RunEvent]) -> None:
        for event in events:
            if event.run_id not in self._state.runs:
                raise Conflict("this collides with what is stored")
            self._state.run_events.append(event)


def _plain(job: Job) -> Job:
    return replace(job, environment=dict(job.environment))


def _is_wanted(job: Job, query: JobQuery) -> bool:
    return (
        query.id in (None, job.id)
        and query.category in (None, job.category)
        and query.category_id in (None, Category(job.category).id)
    )


def _is_meant(run: Run, query: RunQuery) -> bool:
    return (
        query.job_id in (None, run.job_id)
        and query.category in (None, run.category)
        and (not query.statuses or run.status in query.statuses)
        and (query.since is None or run.fire_at >= query.since)
        and (query.until is None or run.fire_at < query.until)
    )


def _name(job: Job) -> tuple[str, str]:
    return job.category, job.name


def _id(job: Job) -> str:
    return job.id


def _time(job: Job) -> tuple[datetime, str]:
    assert job.next_fire_at is not None
    return job.next_fire_at, job.id
