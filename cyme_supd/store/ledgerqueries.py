"""Pages of tasks that are tracked, at a cost that is bounded, however many there are.

One filter has an index that is walked, those that began last first: the one that
fits the fewest. What else is asked for is looked at in what that leads to, and no
further than :data:`MOST_LOOKED_AT`; where that is not all, the page says where to go on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Subquery, and_, case, func, select, true

from cyme_supd.domain.ledgerstore import (
    EXACT,
    LOST,
    MOST_LOOKED_AT,
    NEVER_RECEIVED,
    WORKER_GONE,
    Cursor,
    ErrorGroup,
    TaskPage,
    TaskQuery,
    Tracked,
    has_text,
    micros,
    word,
)
from cyme_supd.store import models as m
from cyme_supd.store.jobs import batches
from cyme_supd.store.ledgerrows import SHOWN, needle, tracked

_ROWS = m.ledger.c
#: Filters that fit more are taken for much alike: to count costs as much as to look.
MOST_COUNTED = 1000
#: The one to walk where two are alike: the first is likely to fit the fewest.
_LIKELY = ("error", "parent", "root", "worker", "name", "state", "queue")
#: On the columns of the table, or of a part of it.
Filter = Callable[[Any], ColumnElement[bool]]


def page(connection: Connection, query: TaskQuery) -> TaskPage:
    walked, others = _split(connection, query)
    end: Cursor | None = None
    if others:
        near = _near(walked, query)
        # The last that is looked through comes along, whether it fits or not.
        fits = and_(*(each(near.c) for each in others))
        is_last = near.c.place == MOST_LOOKED_AT
        wanted = select(near, case((fits, 1), else_=0).label("fits")).where(fits | is_last)
        found = connection.execute(_latest_first(wanted, near.c).limit(query.limit + 1)).all()
        if found and found[-1].place == MOST_LOOKED_AT:
            end = found[-1].began_at, found[-1].number
        rows = [row for row in found if row.fits]
    else:
        wanted = select(*SHOWN).where(walked(_ROWS), _within(query))
        rows = list(connection.execute(_latest_first(wanted, _ROWS).limit(query.limit + 1)))
    tasks = [tracked(row) for row in rows[: query.limit]]
    # Databases look more widely: some for small letters as well, all in what else is told.
    fitting = [each for each in tasks if query.text is None or has_text(each.record, query.text)]
    if len(rows) > query.limit:
        return TaskPage(fitting, tasks[-1].cursor)
    return TaskPage(fitting, end)


def errors(connection: Connection, query: TaskQuery) -> list[ErrorGroup]:
    wanted = [*_indexed(query), *_loose(query)]
    near = _near(lambda of: of.state == "FAILURE", query)
    number, count = func.max(near.c.number).label("number"), func.count().label("count")
    groups = select(near.c.error, number, count).where(near.c.error.is_not(None))
    groups = groups.where(*(each(near.c) for each in wanted))
    found = groups.group_by(near.c.error).subquery()
    rows = select(found.c.error, found.c.count, _ROWS.id, _ROWS.began_at)
    rows = rows.join_from(found, m.ledger, _ROWS.number == found.c.number)
    most_first = rows.order_by(found.c.count.desc(), found.c.error).limit(query.limit)
    return [ErrorGroup(*row) for row in connection.execute(most_first)]


def with_id(connection: Connection, id: str, source: str | None) -> list[Tracked]:
    wanted = select(*SHOWN).where(_ROWS.id == id)
    if source is not None:
        wanted = wanted.where(_ROWS.source == source)
    return [tracked(row) for row in connection.execute(wanted.order_by(_ROWS.source))]


def messages(connection: Connection, numbers: Collection[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    for batch in batches(sorted(numbers)):
        wanted = select(_ROWS.number, _ROWS.message).where(_ROWS.number.in_(batch))
        rows = connection.execute(wanted.where(_ROWS.message.is_not(None)))
        found.update((row.number, row.message) for row in rows)
    return found


def retries(connection: Connection, source: str, ids: Collection[str]) -> dict[str, list[Tracked]]:
    found: dict[str, list[Tracked]] = {}
    for batch in batches(sorted({str(word(id)) for id in ids})):
        # A retry is a child of the first: there is an index of these.
        wanted = select(*SHOWN).where(_ROWS.parent.in_(batch), _ROWS.source == source)
        for each in map(tracked, connection.execute(wanted.order_by(_ROWS.number))):
            if (first := each.record.get("retry_of")) is not None:
                found.setdefault(first, []).append(each)
    return found


def oldest(
    connection: Connection,
    source: str,
    states: Collection[str],
    before: float,
    after: Cursor,
    limit: int,
) -> list[Tracked]:
    at, number = after
    found: list[Tracked] = []
    for state in states:
        wanted = select(*SHOWN).where(_ROWS.state == state, _ROWS.source == source)
        behind = (_ROWS.began_at > at) | (_ROWS.number > number)
        wanted = wanted.where(_ROWS.began_at >= at, behind, _ROWS.began_at < micros(before))
        oldest = wanted.order_by(_ROWS.began_at, _ROWS.number).limit(limit)
        found += map(tracked, connection.execute(oldest))
    return sorted(found, key=lambda each: each.cursor)[:limit]


def beyond(connection: Connection, state: str, count: int) -> Cursor | None:
    wanted = select(_ROWS.began_at, _ROWS.number).where(_ROWS.state == state)
    row = connection.execute(_latest_first(wanted, _ROWS).offset(count).limit(1)).first()
    return None if row is None else (row.began_at, row.number)


def _split(connection: Connection, query: TaskQuery) -> tuple[Filter, list[Filter]]:
    """The filter whose index is walked, and the others."""
    indexed, others = _indexed(query), _loose(query)
    if not indexed:
        return _all, others
    if len(indexed) > 1:
        indexed.sort(key=lambda each: _count(connection, each, query))
    return indexed[0], [*indexed[1:], *others]


def _count(connection: Connection, walked: Filter, query: TaskQuery) -> int:
    """How many there are to be looked at, as far as that matters."""
    some = select(_ROWS.number).where(walked(_ROWS), _within(query)).limit(MOST_COUNTED)
    return connection.scalar(select(func.count()).select_from(some.subquery())) or 0


def _all(_: Any) -> ColumnElement[bool]:
    return true()


def _indexed(query: TaskQuery) -> list[Filter]:
    """Each with an index of its own, in which tasks are in the order they began in."""
    asked = {name: getattr(query, name) for name in _LIKELY}
    return [_is(name, value) for name, value in asked.items() if value is not None]


def _is(name: str, value: str) -> Filter:
    if (name, value) == ("state", LOST):
        return lambda of: of.lost.in_((NEVER_RECEIVED, WORKER_GONE))
    return lambda of: of[name] == word(value)


def _loose(query: TaskQuery) -> list[Filter]:
    found: list[Filter] = []
    if query.source is not None:
        found.append(lambda of: of.source == query.source)
    if query.text:
        text = needle(query.text)
        found.append(lambda of: of.record.contains(text, autoescape=True))
    return found


def _within(query: TaskQuery) -> ColumnElement[bool]:
    """The span that is asked for, behind the page before."""
    parts: list[ColumnElement[bool]] = []
    if query.since is not None:
        parts.append(_ROWS.began_at >= micros(query.since))
    if query.until is not None:
        parts.append(_ROWS.began_at < micros(query.until))
    if query.after is not None:
        at, number = query.after
        # The first of the two is what an index is walked from.
        parts += (_ROWS.began_at <= at, (_ROWS.began_at < at) | (_ROWS.number < number))
    return and_(true(), *parts)


def _near(walked: Filter, query: TaskQuery) -> Subquery:
    """Those that are looked through, each with its ``place`` among them, from 1 on."""
    shown = {*SHOWN, *(_ROWS[name] for name in EXACT)}
    columns = [each for each in m.ledger.c if each in shown]
    place = func.row_number().over(order_by=(_ROWS.began_at.desc(), _ROWS.number.desc()))
    wanted = select(*columns, place.label("place")).where(walked(_ROWS), _within(query))
    return _latest_first(wanted, _ROWS).limit(MOST_LOOKED_AT).subquery()


def _latest_first(wanted: Select[Any], of: Any) -> Select[Any]:
    return wanted.order_by(of.began_at.desc(), of.number.desc())
