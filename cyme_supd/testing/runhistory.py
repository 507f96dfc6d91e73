"""What became of jobs, in the store in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime

from cyme_supd.domain.job import Run, RunStatus
from cyme_supd.domain.runstore import RunNews, Standing
from cyme_supd.testing.state import State

_UNDER_WAY = (RunStatus.QUEUED, RunStatus.RUNNING)


class MemoryRunHistory:
    _state: State

    def run_news(self, newer_than: int | None, limit: int) -> list[RunNews]:
        runs, events = self._state.runs, enumerate(self._state.run_events, 1)
        told = [RunNews(id, runs[one.run_id].job_id) for id, one in events if one.run_id in runs]
        if newer_than is None:
            return told[-1:]
        return [each for each in told if each.id > newer_than][:limit]

    def standing(self, due_before: datetime) -> Standing:
        runs = self._state.runs.values()
        due = [each.due_at for each in self._state.jobs.values() if each.due_at]
        overdue = [at for at in due if at < due_before]
        return Standing(
            queued=sum(each.status == RunStatus.QUEUED for each in runs),
            running=sum(each.status == RunStatus.RUNNING for each in runs),
            queued_at=min((each.queued_at for each in runs if _waits(each)), default=None),
            overdue=len(overdue),
            overdue_at=min(overdue, default=None),
        )

    def unclaimed(self, before: datetime, limit: int) -> list[Run]:
        runs = self._state.runs.values()
        waiting = [each for each in runs if _waits(each) and each.orders > 1]
        found = [each for each in waiting if each.queued_at <= before]
        return sorted(found, key=_fire_time)[:limit]

    def ended_ill(self, statuses: Collection[str], since: datetime, limit: int) -> list[Run]:
        runs = self._state.runs.values()
        found = [each for each in runs if each.status in statuses and each.fire_at >= since]
        return sorted(found, key=_fire_time, reverse=True)[:limit]


class MemoryRunHistoryEdit:
    _state: State

    def cancel_run(self, id: str, at: datetime, reason: str) -> bool:
        run = self._state.runs.get(id)
        if run is None or run.status not in _UNDER_WAY:
            return False
        if run.status == RunStatus.QUEUED:
            ended = replace(run, status=RunStatus.CANCELLED, finished_at=at, reason=reason)
            self._state.runs[id] = replace(ended, order_at=None)
        else:
            self._state.runs[id] = replace(run, wants_cancel=True)
        return True

    def remove_old_runs(self, before: datetime, limit: int) -> int:
        found = [each for each in self._state.runs.values() if each.fire_at < before]
        return self._remove(found, limit)

    def remove_surplus_runs(self, kept: int, after: str, limit: int) -> tuple[int, str | None]:
        jobs = sorted({each.job_id for each in self._state.runs.values()})
        removed, last = 0, after
        for job in (each for each in jobs if each > after):
            theirs = [each for each in self._state.runs.values() if each.job_id == job]
            surplus = sorted(theirs, key=_fire_time, reverse=True)[kept:]
            removed += self._remove(surplus, limit - removed)
            if removed >= limit:
                return removed, last
            last = job
        return removed, None

    def _remove(self, found: Iterable[Run], limit: int) -> int:
        ended = [each for each in found if each.status not in _UNDER_WAY]
        gone = {each.id for each in sorted(ended, key=_fire_time)[:limit]}
        for id in gone:
            del self._state.runs[id]
            self._state.run_outputs.pop(id, None)
        return len(gone)


def _waits(run: Run) -> bool:
    return run.status == RunStatus.QUEUED and run.order_at is not None and run.orders > 0


def _fire_time(run: Run) -> tuple[datetime, str]:
    return run.fire_at, run.id
