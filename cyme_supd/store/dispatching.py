"""Who dispatches: jobs that are due and runs to be ordered, each taken by one at a time.

Rows are locked, and those that another has locked are passed over, where there can be
another: on SQLite who writes is alone, and SQLAlchemy leaves the words out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Update,
    bindparam,
    case,
    func,
    insert,
    select,
    update,
)

from cyme_supd.domain.firing import UnderWay
from cyme_supd.domain.job import Job, Run, RunStatus
from cyme_supd.store import jobs, runs
from cyme_supd.store import models as m
from cyme_supd.store.engine import kind_of
from cyme_supd.store.jobs import batches

_JOB, _RUN = m.job.c, m.run.c
_OPEN = (str(RunStatus.QUEUED), str(RunStatus.RUNNING))
_IS_QUEUED = _RUN.status == str(RunStatus.QUEUED)


class SqlDispatched:
    _connection: Connection

    def database_now(self, now: datetime) -> datetime:
        return kind_of(self._connection.engine).now(self._connection, now)

    def next_order_at(self) -> datetime | None:
        found: datetime | None = self._connection.scalar(select(func.min(_RUN.order_at)))
        return found

    def under_way(self, job_ids: Collection[str]) -> Mapping[str, UnderWay]:
        found: dict[str, UnderWay] = {}
        for batch in batches(list(job_ids)):
            held = func.sum(_is_held()).label("held")
            counted = select(_RUN.job_id, func.count().label("count"), held)
            is_theirs = _is_among(self._connection, _RUN.job_id, batch)
            wanted = counted.where(is_theirs, _RUN.status.in_(_OPEN))
            for row in self._connection.execute(wanted.group_by(_RUN.job_id)):
                found[row.job_id] = UnderWay(row._mapping["count"], int(row.held))
        return found

    def known_runs(self, ids: Collection[str]) -> set[str]:
        found: set[str] = set()
        for batch in batches(list(ids)):
            wanted = select(_RUN.id).where(_is_among(self._connection, _RUN.id, batch))
            found |= set(self._connection.scalars(wanted))
        return found

    def shared_key(self, name: str) -> str | None:
        wanted = select(m.shared_key.c.value).where(m.shared_key.c.name == name)
        found: str | None = self._connection.scalar(wanted)
        return found


class SqlDispatchedEdit:
    _connection: Connection

    def take_due(self, now: datetime, limit: int) -> list[Job]:
        due = jobs.due_first(now).limit(limit).with_for_update(skip_locked=True)
        return jobs.read(self._connection, due)

    def move_on(self, jobs: Iterable[Job]) -> None:
        times: dict[Any, list[str]] = {}
        for job in jobs:
            times.setdefault((job.next_fire_at, job.due_at), []).append(job.id)
        alone = []
        for (fire_at, due_at), ids in times.items():
            values = {"next_fire_at": fire_at, "due_at": due_at}
            if len(ids) == 1:
                alone.append({"job": ids[0], **values})
                continue
            for batch in batches(ids):
                moved = update(m.job).where(_is_among(self._connection, _JOB.id, batch))
                moved = moved.values(values)
                self._connection.execute(moved)
        if alone:
            self._connection.execute(_move_one(), alone)

    def take_orders(self, now: datetime, limit: int, until: datetime) -> list[Run]:
        due = select(m.run).where(_RUN.order_at <= now).order_by(_RUN.order_at, _RUN.id)
        found = runs.read(self._connection, due.limit(limit).with_for_update(skip_locked=True))
        queued = [replace(run, order_at=until) for run in found if run.status == RunStatus.QUEUED]
        self._order_at([run.id for run in queued], until)
        # It would be looked at again and again.
        self._order_at([run.id for run in found if run.status != RunStatus.QUEUED], None)
        return queued

    def mark_ordered(self, ids: Collection[str], until: datetime, again_at: datetime) -> None:
        self._mark(ids, until, {"order_at": again_at, "orders": _RUN.orders + 1, "reason": None})

    def put_off(
        self, ids: Collection[str], until: datetime, again_at: datetime, reason: str
    ) -> None:
        self._mark(ids, until, {"order_at": again_at, "reason": reason})

    def share_key(self, name: str, value: str) -> str:
        wanted = select(m.shared_key.c.value).where(m.shared_key.c.name == name)
        found: str | None = self._connection.scalar(wanted)
        if found is None:
            self._connection.execute(insert(m.shared_key).values(name=name, value=value))
        return found or value

    def _mark(self, ids: Collection[str], until: datetime, values: Mapping[str, Any]) -> None:
        for batch in batches(list(ids)):
            is_theirs = _is_among(self._connection, _RUN.id, batch)
            is_same = is_theirs & _IS_QUEUED & (_RUN.order_at == until)
            # One that somebody is just claiming need not be waited for.
            same = select(_RUN.id).where(is_same).with_for_update(skip_locked=True)
            if found := list(self._connection.scalars(same)):
                marked = update(m.run).where(_is_among(self._connection, _RUN.id, found))
                marked = marked.values(dict(values))
                self._connection.execute(marked)

    def _order_at(self, ids: Collection[str], at: datetime | None) -> None:
        for batch in batches(list(ids)):
            moved = update(m.run).where(_is_among(self._connection, _RUN.id, batch))
            self._connection.execute(moved.values(order_at=at))


def _is_among(
    connection: Connection, column: ColumnElement[str], values: Sequence[str]
) -> ColumnElement[bool]:
    return kind_of(connection.engine).is_among(column, values)


def _move_one() -> Update:
    moved = update(m.job).where(_JOB.id == bindparam("job"))
    return moved.values(next_fire_at=bindparam("next_fire_at"), due_at=bindparam("due_at"))


def _is_held() -> Any:
    return case((_IS_QUEUED & _RUN.order_at.is_(None), 1), else_=0)
