"""Declarations of queues, as rows."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    delete,
    insert,
    select,
    tuple_,
    update,
)

from cyme_supd.domain.pause import Pause
from cyme_supd.domain.spec import Queue
from cyme_supd.errors import Conflict, NotFound
from cyme_supd.store import apps
from cyme_supd.store import models as m

_EDITABLE = ("exchange", "exchange_type", "routing_key", "options")


def names(connection: Connection, app: str, after: str, limit: int | None) -> list[str]:
    wanted = select(m.queue.c.name).where(m.queue.c.app == app, m.queue.c.name > after)
    return list(connection.scalars(wanted.order_by(m.queue.c.name).limit(limit)))


def everyone(connection: Connection) -> list[Queue]:
    """But those of apps that are being deleted."""
    wanted = select(m.queue).join(m.app, m.app.c.name == m.queue.c.app).where(~m.app.c.is_deleting)
    rows = connection.execute(wanted.order_by(m.queue.c.app, m.queue.c.name))
    return [_queue(row) for row in rows]


def get(connection: Connection, app: str, name: str) -> Queue:
    row = connection.execute(select(m.queue).where(_is(app, name))).first()
    if row is None:
        raise not_found(app, name)
    return _queue(row)


def named(connection: Connection, names: Collection[tuple[str, str]]) -> list[Queue]:
    """Those of them that are there; each is an app and a name."""
    theirs = tuple_(m.queue.c.app, m.queue.c.name).in_(names)
    return [_queue(row) for row in connection.execute(select(m.queue).where(theirs))]


def of_instances(
    connection: Connection, matching: ColumnElement[bool]
) -> dict[tuple[str, str], Queue]:
    """What the instances *matching* consume from, by app and name."""
    consumed = m.instance_queue
    # The keys alone are made distinct: PostgreSQL cannot compare two of JSON.
    theirs = (
        select(consumed.c.app, consumed.c.queue)
        .distinct()
        .join(m.instance, m.instance.c.name == consumed.c.instance)
        .where(matching)
        .subquery()
    )
    rows = connection.execute(
        select(m.queue).join(
            theirs, and_(theirs.c.app == m.queue.c.app, theirs.c.queue == m.queue.c.name)
        )
    )
    return {(row.app, row.name): _queue(row) for row in rows}


def add(connection: Connection, queue: Queue) -> None:
    apps.require(connection, queue.app)
    known = select(m.queue.c.name).where(_is(queue.app, queue.name))
    if connection.scalar(known) is not None:
        raise Conflict(f"app {queue.app!r} has a queue {queue.name!r} already")
    values = _values(queue)
    connection.execute(
        insert(m.queue).values(
            app=queue.app, name=queue.name, created_at=queue.created_at, **values
        )
    )


def save(connection: Connection, queue: Queue) -> None:
    """Store the edit; who consumes from it gets the next generation."""
    values = _values(queue)
    stored = connection.execute(update(m.queue).where(_is(queue.app, queue.name)).values(**values))
    if stored.rowcount == 0:
        raise not_found(queue.app, queue.name)
    _touch_consumers(connection, queue.app, queue.name)


def put(connection: Connection, queue: Queue) -> None:
    """Store it as it is, ``created_at`` too, whether or not it is there; nobody is touched."""
    values = {**_values(queue), "created_at": queue.created_at}
    known = connection.execute(update(m.queue).where(_is(queue.app, queue.name)).values(**values))
    if known.rowcount == 0:
        connection.execute(insert(m.queue).values(app=queue.app, name=queue.name, **values))


def remove(connection: Connection, app: str, name: str) -> None:
    """Forget the declaration; who consumed from it gets the next generation, without it."""
    _touch_consumers(connection, app, name)
    removed = connection.execute(delete(m.queue).where(_is(app, name)))
    if removed.rowcount == 0:
        raise not_found(app, name)


def not_found(app: str, name: str) -> NotFound:
    return NotFound(f"app {app!r} has no queue {name!r}", f"GET /{app}/queues/ lists its queues")


def _is(app: str, name: str) -> ColumnElement[bool]:
    return and_(m.queue.c.app == app, m.queue.c.name == name)


def _touch_consumers(connection: Connection, app: str, name: str) -> None:
    consumed = m.instance_queue
    consumers = select(consumed.c.instance).where(consumed.c.app == app, consumed.c.queue == name)
    connection.execute(
        update(m.instance)
        .where(m.instance.c.name.in_(consumers))
        .values(generation=m.instance.c.generation + 1, is_pending=True)
    )


def _values(queue: Queue) -> dict[str, Any]:
    values = {field: getattr(queue, field) for field in _EDITABLE}
    return {**values, "pause": queue.pause and queue.pause.as_dict()}


def _queue(row: Row[Any]) -> Queue:
    return Queue(**{**row._asdict(), "pause": row.pause and Pause.from_dict(row.pause)})
