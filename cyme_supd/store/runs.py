"""Runs and what happened to them, as rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, literal, select, union_all

from cyme_supd.domain.job import Run, RunEvent
from cyme_supd.domain.jobstore import RunQuery
from cyme_supd.errors import NotFound
from cyme_supd.store import models as m
from cyme_supd.store.engine import kind_of
from cyme_supd.store.jobs import batches

_COLUMNS = m.run.c
_FIELDS = tuple(each.name for each in fields(Run))
assert tuple(each.name for each in _COLUMNS) == _FIELDS
#: No database has an earlier one.
_BEFORE_ALL = datetime(1000, 1, 1, tzinfo=UTC)


def latest(connection: Connection, job_ids: Collection[str], count: int) -> Mapping[str, list[Run]]:
    """Of jobs that are there. What it costs does not grow with their history."""
    found: dict[str, list[Run]] = {id: [] for id in job_ids}
    for batch in batches(list(found)):
        # The limit keeps a planner from asking for it once for each run.
        since = _since(count).where(m.job.c.id.in_(batch)).limit(len(batch)).subquery()
        is_late = (_COLUMNS.job_id == since.c.id) & (_COLUMNS.fire_at >= since.c.fire_at)
        wanted = select(m.run).join_from(since, m.run, is_late)
        # It would begin with all runs that there are.
        wanted = wanted.prefix_with("STRAIGHT_JOIN", dialect="mysql")
        for run in read(connection, wanted.order_by(_COLUMNS.fire_at.desc())):
            found[run.job_id].append(run)
    return found


def _since(count: int) -> Select[Any]:
    """By job, the fire time of the earliest run that is among its latest *count*."""
    own = m.run.alias()
    last = select(own.c.fire_at).where(own.c.job_id == m.job.c.id)
    earliest = last.order_by(own.c.fire_at.desc()).offset(count - 1).limit(1).scalar_subquery()
    return select(
        m.job.c.id, func.coalesce(earliest, literal(_BEFORE_ALL, m.Instant)).label("fire_at")
    )


def find(connection: Connection, query: RunQuery) -> list[Run]:
    if len(query.statuses) > 1:
        return _of_several(connection, query)
    page = _ordered(_matching(query, query.statuses)).offset(query.offset).limit(query.limit)
    return read(connection, page)


def _of_several(connection: Connection, query: RunQuery) -> list[Run]:
    """The latest of each status by themselves: no index has several of them in order."""
    most = query.offset + query.limit
    each = [_ordered(_matching(query, (one,))).limit(most).subquery() for one in query.statuses]
    all_of_them = union_all(*(select(one.c.id, one.c.fire_at) for one in each)).subquery()
    late = all_of_them.c
    page = select(late.id).order_by(late.fire_at.desc(), late.id.desc())
    ids = page.offset(query.offset).limit(query.limit).subquery()
    return read(connection, _ordered(select(m.run).join(ids, ids.c.id == _COLUMNS.id)))


def _matching(query: RunQuery, statuses: Collection[str]) -> Select[Any]:
    wanted = select(m.run)
    if query.job_id is not None:
        wanted = wanted.where(_COLUMNS.job_id == query.job_id)
    if query.category is not None:
        wanted = wanted.where(_COLUMNS.category == query.category)
    if query.since is not None:
        wanted = wanted.where(_COLUMNS.fire_at >= query.since)
    if query.until is not None:
        wanted = wanted.where(_COLUMNS.fire_at < query.until)
    for status in statuses:
        wanted = wanted.where(_COLUMNS.status == status)
    return wanted


def _ordered(wanted: Select[Any]) -> Select[Any]:
    return wanted.order_by(_COLUMNS.fire_at.desc(), _COLUMNS.id.desc())


def read(connection: Connection, wanted: Select[Any]) -> list[Run]:
    # All rows at once: one by one they take twice as long.
    return [_run(row) for row in connection.execute(wanted).all()]


def get(connection: Connection, id: str) -> Run:
    row = connection.execute(select(m.run).where(_COLUMNS.id == id)).first()
    if row is None:
        raise no_run(id)
    return _run(row)


def events(connection: Connection, run_id: str) -> list[RunEvent]:
    wanted = select(m.run_event).where(m.run_event.c.run_id == run_id)
    rows = connection.execute(wanted.order_by(m.run_event.c.id))
    return [RunEvent(row.run_id, row.at, row.type, row.message) for row in rows]


def add(connection: Connection, runs: Iterable[Run]) -> None:
    rows = [{name: getattr(run, name) for name in _FIELDS} for run in runs]
    for row in rows:
        row["status"] = str(row["status"])
    if rows:
        kind_of(connection.engine).insert(connection, m.run, rows)


def save(connection: Connection, runs: Iterable[Run]) -> None:
    for run in runs:
        values = {name: getattr(run, name) for name in _FIELDS}
        values["status"] = str(run.status)
        connection.execute(m.run.update().where(_COLUMNS.id == run.id).values(values))


def add_events(connection: Connection, events: Iterable[RunEvent]) -> None:
    rows = [
        {"run_id": each.run_id, "at": each.at, "type": each.type, "message": each.message}
        for each in events
    ]
    if rows:
        kind_of(connection.engine).insert(connection, m.run_event, rows)


def remove(connection: Connection, ids: Collection[str]) -> None:
    """With what happened to them."""
    for batch in batches(list(ids)):
        connection.execute(delete(m.run).where(_COLUMNS.id.in_(batch)))


def no_run(id: str) -> NotFound:
    return NotFound(f"there is no run {id!r}", "GET /api/runs/ lists them")


def _run(row: Row[Any]) -> Run:
    # By their places: with their names it takes three times as long, of which lists have many.
    values: Any = row
    return Run(*values)
