"""What the store in memory does for who dispatches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from cyme_supd.domain.firing import UnderWay
from cyme_supd.domain.job import Job, Run, RunStatus
from cyme_supd.testing.state import State

_OPEN = (RunStatus.QUEUED, RunStatus.RUNNING)


class MemoryDispatched:
    _state: State

    def database_now(self, now: datetime) -> datetime:
        return now

    def next_order_at(self) -> datetime | None:
        times = (each.order_at for each in self._state.runs.values() if each.order_at)
        return min(times, default=None)

    def under_way(self, job_ids: Collection[str]) -> Mapping[str, UnderWay]:
        theirs = [each for each in self._state.runs.values() if each.job_id in job_ids]
        count = Counter(each.job_id for each in theirs if each.status in _OPEN)
        held = Counter(
            each.job_id
            for each in theirs
            if each.status == RunStatus.QUEUED and each.order_at is None
        )
        return {id: UnderWay(count[id], held[id]) for id in count}

    def known_runs(self, ids: Collection[str]) -> set[str]:
        return set(ids) & self._state.runs.keys()

    def shared_key(self, name: str) -> str | None:
        return self._state.shared_keys.get(name)


class MemoryDispatchedEdit:
    _state: State

    def take_due(self, now: datetime, limit: int) -> list[Job]:
        found = [each for each in self._state.jobs.values() if each.due_at and each.due_at <= now]
        return sorted(found, key=lambda job: (str(job.due_at), job.id))[:limit]

    def move_on(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            if stored := self._state.jobs.get(job.id):
                moved = replace(stored, next_fire_at=job.next_fire_at, due_at=job.due_at)
                self._state.jobs[job.id] = moved

    def take_orders(self, now: datetime, limit: int, until: datetime) -> list[Run]:
        found = [
            each for each in self._state.runs.values() if each.order_at and each.order_at <= now
        ]
        taken = []
        for run in sorted(found, key=lambda run: (str(run.order_at), run.id))[:limit]:
            is_queued = run.status == RunStatus.QUEUED
            self._state.runs[run.id] = replace(run, order_at=until if is_queued else None)
            if is_queued:
                taken.append(self._state.runs[run.id])
        return taken

    def mark_ordered(self, ids: Collection[str], until: datetime, again_at: datetime) -> None:
        for run in self._same(ids, until):
            marked = replace(run, order_at=again_at, orders=run.orders + 1, reason=None)
            self._state.runs[run.id] = marked

    def put_off(
        self, ids: Collection[str], until: datetime, again_at: datetime, reason: str
    ) -> None:
        for run in self._same(ids, until):
            self._state.runs[run.id] = replace(run, order_at=again_at, reason=reason)

    def share_key(self, name: str, value: str) -> str:
        return self._state.shared_keys.setdefault(name, value)

    def _same(self, ids: Collection[str], until: datetime) -> list[Run]:
        found = (self._state.runs[id] for id in ids if id in self._state.runs)
        return [run for run in found if run.status == RunStatus.QUEUED and run.order_at == until]
