"""What became of jobs, for whoever looks at it, and how it is forgotten."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Select, func, select

from cyme_supd.domain.job import Run, RunStatus
from cyme_supd.domain.jobstore import RunQuery
from cyme_supd.domain.runstore import RunNews, Standing
from cyme_supd.store import models as m
from cyme_supd.store import runs

#: Jobs whose runs are counted in one look.
_JOBS = 100
_UNDER_WAY = (str(RunStatus.QUEUED), str(RunStatus.RUNNING))
_RUN, _JOB, _EVENT, _OUTPUT = m.run.c, m.job.c, m.run_event.c, m.run_output.c


class SqlRunHistory:
    _connection: Connection

    def run_news(self, newer_than: int | None, limit: int) -> list[RunNews]:
        wanted = select(_EVENT.id, _RUN.job_id).join(m.run, _RUN.id == _EVENT.run_id)
        if newer_than is None:
            wanted = wanted.order_by(_EVENT.id.desc()).limit(1)
        else:
            wanted = wanted.where(_EVENT.id > newer_than).order_by(_EVENT.id).limit(limit)
        return [RunNews(row.id, row.job_id) for row in self._connection.execute(wanted)]

    def standing(self, due_before: datetime) -> Standing:
        # Each by itself: so an index answers, whatever has ended.
        overdue, overdue_at = self._counted(_JOB.due_at, _JOB.due_at < due_before)
        queued, _ = self._counted(_RUN.fire_at, _RUN.status == _UNDER_WAY[0])
        running, _ = self._counted(_RUN.fire_at, _RUN.status == _UNDER_WAY[1])
        waits = (_RUN.status == _UNDER_WAY[0], _RUN.order_at.is_not(None), _RUN.orders > 0)
        oldest = select(func.min(_RUN.queued_at)).where(*waits)
        queued_at: datetime | None = self._connection.scalar(oldest)
        return Standing(queued, running, queued_at, overdue, overdue_at)

    def _counted(
        self, column: Column[Any], condition: ColumnElement[bool]
    ) -> tuple[int, datetime | None]:
        counted = select(func.count(), func.min(column)).where(condition)
        count, first = self._connection.execute(counted).one()
        return count, first

    def unclaimed(self, before: datetime, limit: int) -> list[Run]:
        wanted = (
            select(m.run)
            .where(_RUN.status == _UNDER_WAY[0], _RUN.queued_at <= before)
            .where(_RUN.order_at.is_not(None), _RUN.orders > 1)
            .order_by(_RUN.fire_at, _RUN.id)
            .limit(limit)
        )
        return [Run(**row._asdict()) for row in self._connection.execute(wanted)]

    def ended_ill(self, statuses: Collection[str], since: datetime, limit: int) -> list[Run]:
        query = RunQuery(statuses=tuple(statuses), since=since, limit=limit)
        return runs.find(self._connection, query)


class SqlRunHistoryEdit:
    _connection: Connection

    def cancel_run(self, id: str, at: datetime, reason: str) -> bool:
        # By its status as it is at that moment: somebody may be claiming it.
        its = m.run.update().where(_RUN.id == id)
        ended = {"status": str(RunStatus.CANCELLED), "finished_at": at, "reason": reason}
        queued = its.where(_RUN.status == _UNDER_WAY[0])
        if self._connection.execute(queued.values(**ended, order_at=None)).rowcount:
            return True
        running = its.where(_RUN.status == _UNDER_WAY[1])
        return bool(self._connection.execute(running.values(wants_cancel=True)).rowcount)

    def remove_old_runs(self, before: datetime, limit: int) -> int:
        old = select(_RUN.id).where(_RUN.fire_at < before, *_HAS_ENDED)
        return self._remove(old.order_by(_RUN.fire_at, _RUN.id).limit(limit))

    def remove_surplus_runs(self, kept: int, after: str, limit: int) -> tuple[int, str | None]:
        jobs = self._jobs_after(after)
        removed = 0
        for job in self._with_more(jobs, kept):
            removed += self._remove(self._surplus(job, kept).limit(limit - removed))
            if removed >= limit:
                # There may be more of this one.
                return removed, jobs[jobs.index(job) - 1] if jobs.index(job) else after
        return removed, jobs[-1] if len(jobs) == _JOBS else None

    def _jobs_after(self, after: str) -> list[str]:
        known = select(_RUN.job_id).where(_RUN.job_id > after).distinct()
        return list(self._connection.scalars(known.order_by(_RUN.job_id).limit(_JOBS)))

    def _with_more(self, jobs: Collection[str], kept: int) -> Iterable[str]:
        counted = select(_RUN.job_id).where(_RUN.job_id.in_(jobs)).group_by(_RUN.job_id)
        return sorted(self._connection.scalars(counted.having(func.count() > kept)))

    def _surplus(self, job: str, kept: int) -> Select[Any]:
        theirs = select(_RUN.fire_at).where(_RUN.job_id == job)
        latest = theirs.order_by(_RUN.fire_at.desc()).offset(kept).limit(1)
        last = self._connection.scalar(latest)
        surplus = select(_RUN.id).where(_RUN.job_id == job, _RUN.fire_at <= last, *_HAS_ENDED)
        return surplus.order_by(_RUN.fire_at)

    def _remove(self, wanted: Select[Any]) -> int:
        ids = sorted(self._connection.scalars(wanted))
        runs.remove(self._connection, ids)
        return len(ids)


_HAS_ENDED = (_RUN.status.not_in(_UNDER_WAY),)
