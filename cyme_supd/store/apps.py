"""Apps, as rows."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, insert, select, update

from cyme_supd.domain.pause import Pause
from cyme_supd.domain.rollout import Rollout
from cyme_supd.domain.spec import App
from cyme_supd.errors import Conflict, NotFound
from cyme_supd.store import brokers
from cyme_supd.store import models as m

_EDITABLE = (
    "extra_config",
    "celery_app",
    "directory",
    "environment",
    "user",
    "command",
    "result_backend",
    "pool",
    "stop_timeout_s",
    "hung_timeout_s",
    "is_deleting",
    "is_tracked",
)
_SELECT: Select[Any] = select(
    *(column for column in m.app.c if column is not m.app.c.broker_id),
    m.broker.c.url.label("broker"),
).outerjoin_from(m.app, m.broker)
_SHOWN = 5


def names(connection: Connection, after: str, limit: int | None) -> list[str]:
    wanted = select(m.app.c.name).where(m.app.c.name > after, ~m.app.c.is_deleting)
    return list(connection.scalars(wanted.order_by(m.app.c.name).limit(limit)))


def everyone(connection: Connection) -> list[App]:
    """But those that are being deleted."""
    wanted = _SELECT.where(~m.app.c.is_deleting).order_by(m.app.c.name)
    return [_app(row) for row in connection.execute(wanted)]


def get(connection: Connection, name: str) -> App:
    row = connection.execute(_SELECT.where(m.app.c.name == name)).first()
    if row is None:
        raise not_found(name)
    return _app(row)


def of_instances(connection: Connection, matching: ColumnElement[bool]) -> dict[str, App]:
    """The apps of the instances *matching*, by name."""
    theirs = select(m.instance.c.app).where(matching)
    rows = connection.execute(_SELECT.where(m.app.c.name.in_(theirs)))
    return {row.name: _app(row) for row in rows}


def named(connection: Connection, names: Collection[str]) -> list[App]:
    """Those of them that are there."""
    rows = connection.execute(_SELECT.where(m.app.c.name.in_(names)))
    return [_app(row) for row in rows]


def require(connection: Connection, name: str) -> None:
    """Raise ``NotFound`` where there is no such app."""
    if not _exists(connection, name):
        raise not_found(name)


def add(connection: Connection, app: App) -> None:
    if _exists(connection, app.name):
        raise Conflict(f"there is an app {app.name!r} already", "edit it, or choose another name")
    values = _values(connection, app)
    connection.execute(insert(m.app).values(name=app.name, created_at=app.created_at, **values))


def save(connection: Connection, app: App) -> None:
    before = _broker_id(connection, app.name)
    values = _values(connection, app)
    connection.execute(update(m.app).where(m.app.c.name == app.name).values(**values))
    if before != values["broker_id"]:
        brokers.release(connection, before)


def put(connection: Connection, app: App) -> None:
    """Store it as it is, ``created_at`` too, whether or not it is there."""
    if not _exists(connection, app.name):
        add(connection, app)
        return
    save(connection, app)
    made = update(m.app).where(m.app.c.name == app.name)
    connection.execute(made.values(created_at=app.created_at))


def remove(connection: Connection, name: str) -> None:
    before = _broker_id(connection, name)
    theirs = select(m.instance.c.name).where(m.instance.c.app == name)
    left = list(connection.scalars(theirs.order_by(m.instance.c.name).limit(_SHOWN + 1)))
    if left:
        shown = ", ".join(left[:_SHOWN]) + (", ..." if len(left) > _SHOWN else "")
        raise Conflict(f"app {name!r} has instances: {shown}", "delete its instances first")
    connection.execute(delete(m.app).where(m.app.c.name == name))
    brokers.release(connection, before)


def is_finished(connection: Connection, name: str) -> bool:
    """Whether the app is being deleted, and its last instance is gone."""
    is_waiting = select(m.app.c.name).where(m.app.c.name == name, m.app.c.is_deleting)
    theirs = select(m.instance.c.name).where(m.instance.c.app == name)
    return bool(connection.scalar(is_waiting)) and connection.scalar(theirs.limit(1)) is None


def not_found(name: str) -> NotFound:
    return NotFound(f"there is no app {name!r}", "GET / lists the apps")


def _exists(connection: Connection, name: str) -> bool:
    return connection.scalar(select(m.app.c.name).where(m.app.c.name == name)) is not None


def _broker_id(connection: Connection, name: str) -> int | None:
    row = connection.execute(select(m.app.c.broker_id).where(m.app.c.name == name)).first()
    if row is None:
        raise not_found(name)
    return row.broker_id  # type: ignore[no-any-return]


def _values(connection: Connection, app: App) -> dict[str, Any]:
    values = {field: getattr(app, field) for field in _EDITABLE}
    values["arguments"] = list(app.arguments)
    values["broker_id"] = brokers.refer(connection, app.broker)
    values["pause"] = app.pause and app.pause.as_dict()
    values["rollout"] = app.rollout and app.rollout.as_dict()
    return values


def _app(row: Row[Any]) -> App:
    values = row._asdict()
    values["arguments"] = tuple(row.arguments)
    values["pause"] = row.pause and Pause.from_dict(row.pause)
    values["rollout"] = row.rollout and Rollout.from_dict(row.rollout)
    return App(**values)
