"""Jobs and their categories, as rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    UnaryExpression,
    delete,
    func,
    insert,
    select,
)

from cyme_supd.domain.job import Category, Job, category_id
from cyme_supd.domain.jobstore import JobQuery
from cyme_supd.errors import NotFound
from cyme_supd.store import models as m

#: Ids in one statement.
BATCH = 500
_FIELDS = tuple(each.name for each in fields(Job))
_COLUMNS = m.job.c
_SELECT = select(*(_COLUMNS[name] for name in _FIELDS))


def categories(connection: Connection) -> list[Category]:
    counted = _counted().order_by(m.category.c.name)
    return [Category(row.name, row.jobs) for row in connection.execute(counted)]


def category(connection: Connection, name: str) -> Category:
    row = connection.execute(_counted().where(m.category.c.name == name)).first()
    if row is None:
        raise no_category(name)
    return Category(row.name, row.jobs)


def add_category(connection: Connection, name: str) -> None:
    known = select(m.category.c.name).where(m.category.c.name == name)
    if connection.scalar(known) is None:
        connection.execute(insert(m.category).values(name=name, id=category_id(name)))


def remove_category(connection: Connection, name: str) -> None:
    if connection.execute(delete(m.category).where(m.category.c.name == name)).rowcount == 0:
        raise no_category(name)


def find(connection: Connection, query: JobQuery) -> list[Job]:
    if query.sort == "name":
        order = (_ordered("category", query), _ordered("name", query))
        return _page(connection, _matching(query), order, query.offset, query.limit)
    return _by_time(connection, query)


def _by_time(connection: Connection, query: JobQuery) -> list[Job]:
    """Those without the time come last, by their ids; to sort both at once no index serves."""
    wanted, column = _matching(query), _COLUMNS[query.sort]
    timed = wanted.where(column.is_not(None))
    order = (_ordered(query.sort, query), _ordered("id", query))
    found = _page(connection, timed, order, query.offset, query.limit)
    if len(found) < query.limit:
        before = connection.scalar(timed.with_only_columns(func.count())) or 0
        rest = wanted.where(column.is_(None))
        offset, left = max(0, query.offset - before), query.limit - len(found)
        found += _page(connection, rest, (_COLUMNS.id.asc(),), offset, left)
    return found


def get(connection: Connection, id: str) -> Job:
    found = read(connection, _SELECT.where(_COLUMNS.id == id))
    if not found:
        raise no_job(id)
    return found[0]


def with_ids(connection: Connection, ids: Collection[str]) -> list[Job]:
    found: list[Job] = []
    for batch in batches(list(ids)):
        found += read(connection, _SELECT.where(_COLUMNS.id.in_(batch)))
    return found


def of_category(connection: Connection, category: str) -> list[Job]:
    wanted = _SELECT.where(_COLUMNS.category == category)
    return read(connection, wanted.order_by(_COLUMNS.name))


def due(connection: Connection, now: datetime, limit: int) -> list[Job]:
    return read(connection, due_first(now).limit(limit))


def due_first(now: datetime) -> Select[Any]:
    """Those due at *now* or before, the longest due first."""
    return _SELECT.where(_COLUMNS.due_at <= now).order_by(_COLUMNS.due_at, _COLUMNS.id)


def next_due_at(connection: Connection) -> datetime | None:
    found: datetime | None = connection.scalar(select(func.min(_COLUMNS.due_at)))
    return found


def add(connection: Connection, jobs: Iterable[Job]) -> None:
    rows = [_values(job) for job in jobs]
    if rows:
        connection.execute(insert(m.job), rows)


def save(connection: Connection, jobs: Iterable[Job]) -> None:
    # Put in anew: rows go in many at a time, and change one by one.
    for batch in batches(list(jobs)):
        is_there = _COLUMNS.id.in_([job.id for job in batch])
        known = set(connection.scalars(select(_COLUMNS.id).where(is_there)))
        connection.execute(delete(m.job).where(is_there))
        add(connection, [job for job in batch if job.id in known])


def remove(connection: Connection, ids: Collection[str]) -> None:
    for batch in batches(list(ids)):
        connection.execute(delete(m.job).where(_COLUMNS.id.in_(batch)))


def batches(things: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(things), BATCH):
        yield things[start : start + BATCH]


def no_category(name: str) -> NotFound:
    return NotFound(f"there is no category {name!r}", "GET /api/categories/ lists them")


def no_job(id: str) -> NotFound:
    return NotFound(f"there is no job {id!r}", "GET /api/jobs/ lists them")


def _counted() -> Select[Any]:
    jobs = func.count(_COLUMNS.id).label("jobs")
    joined = select(m.category.c.name, jobs).outerjoin_from(m.category, m.job)
    return joined.group_by(m.category.c.name)


def _matching(query: JobQuery) -> Select[Any]:
    wanted = _SELECT
    if query.id is not None:
        wanted = wanted.where(_COLUMNS.id == query.id)
    if query.category is not None:
        wanted = wanted.where(_COLUMNS.category == query.category)
    if query.category_id is not None:
        named = select(m.category.c.name).where(m.category.c.id == query.category_id)
        wanted = wanted.where(_COLUMNS.category == named.scalar_subquery())
    return wanted


def _ordered(name: str, query: JobQuery) -> UnaryExpression[Any]:
    column = _COLUMNS[name]
    return column.desc() if query.is_descending else column.asc()


def _page(
    connection: Connection,
    wanted: Select[Any],
    order: Sequence[UnaryExpression[Any]],
    offset: int,
    limit: int,
) -> list[Job]:
    # First by the index alone: rows that are passed over are not read.
    ids = wanted.with_only_columns(_COLUMNS.id).order_by(*order).offset(offset).limit(limit)
    page = ids.subquery()
    return read(connection, _SELECT.join(page, page.c.id == _COLUMNS.id).order_by(*order))


def read(connection: Connection, wanted: Select[Any]) -> list[Job]:
    return [_job(row) for row in connection.execute(wanted)]


def _job(row: Row[Any]) -> Job:
    values = row._asdict()
    if values["argv"] is not None:
        values["argv"] = tuple(values["argv"])
    return Job(**values)


def _values(job: Job) -> dict[str, Any]:
    values = {name: getattr(job, name) for name in _FIELDS}
    return {
        **values,
        "id": job.id,
        "argv": None if job.argv is None else list(job.argv),
        "overlap": str(job.overlap),
        "catch_up": str(job.catch_up),
        "environment": dict(job.environment),
    }
