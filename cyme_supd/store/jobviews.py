"""The parts of a view and of a transaction that are about jobs and runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection

from cyme_supd.domain.job import Category, Job, Run, RunEvent
from cyme_supd.domain.jobstore import JobQuery, RunQuery
from cyme_supd.store import jobs, runs
from cyme_supd.store.claiming import SqlClaims, SqlClaimsEdit
from cyme_supd.store.dispatching import SqlDispatched, SqlDispatchedEdit


class SqlJobs(SqlClaims, SqlDispatched):
    _connection: Connection

    def categories(self) -> list[Category]:
        return jobs.categories(self._connection)

    def category(self, name: str) -> Category:
        return jobs.category(self._connection, name)

    def jobs(self, query: JobQuery) -> list[Job]:
        return jobs.find(self._connection, query)

    def job(self, id: str) -> Job:
        return jobs.get(self._connection, id)

    def jobs_with(self, ids: Collection[str]) -> list[Job]:
        return jobs.with_ids(self._connection, ids)

    def jobs_in(self, category: str) -> list[Job]:
        return jobs.of_category(self._connection, category)

    def due(self, now: datetime, limit: int) -> list[Job]:
        return jobs.due(self._connection, now, limit)

    def next_due_at(self) -> datetime | None:
        return jobs.next_due_at(self._connection)

    def latest_runs(self, job_ids: Collection[str], count: int) -> Mapping[str, list[Run]]:
        return runs.latest(self._connection, job_ids, count)

    def runs(self, query: RunQuery) -> list[Run]:
        return runs.find(self._connection, query)

    def run(self, id: str) -> Run:
        return runs.get(self._connection, id)

    def run_events(self, run_id: str) -> list[RunEvent]:
        return runs.events(self._connection, run_id)


class SqlJobsEdit(SqlClaimsEdit, SqlDispatchedEdit):
    _connection: Connection

    def add_category(self, name: str) -> None:
        jobs.add_category(self._connection, name)

    def remove_category(self, name: str) -> None:
        jobs.remove_category(self._connection, name)

    def add_jobs(self, added: Iterable[Job]) -> None:
        jobs.add(self._connection, added)

    def save_jobs(self, changed: Iterable[Job]) -> None:
        jobs.save(self._connection, changed)

    def remove_jobs(self, ids: Collection[str]) -> None:
        jobs.remove(self._connection, ids)

    def add_runs(self, added: Iterable[Run]) -> None:
        runs.add(self._connection, added)

    def save_runs(self, changed: Iterable[Run]) -> None:
        runs.save(self._connection, changed)

    def add_run_events(self, events: Iterable[RunEvent]) -> None:
        runs.add_events(self._connection, events)
