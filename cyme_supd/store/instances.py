"""Instances, as rows; the queues they consume from, in order, in rows beside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    delete,
    func,
    insert,
    select,
    true,
    update,
)

from cyme_supd.domain.moving import Move, check_edit, is_handed
from cyme_supd.domain.pause import Pause
from cyme_supd.domain.spec import Instance
from cyme_supd.errors import Conflict, NotFound
from cyme_supd.store import apps, brokers, queues
from cyme_supd.store import models as m

_EDITABLE = (
    "branch",
    "is_enabled",
    "is_deleting",
    "is_forced",
    "max_concurrency",
    "min_concurrency",
    "pool",
    "extra_config",
    "stop_timeout_s",
    "hung_timeout_s",
    "restarts",
)
#: Names in one statement.
BATCH = 500
#: What every edit does that the reconciler must see.
NEXT_GENERATION = {"generation": m.instance.c.generation + 1, "is_pending": True}
_INTERNAL = ("broker_id", "is_pending")
_SELECT: Select[Any] = select(
    *(column for column in m.instance.c if column.name not in _INTERNAL),
    m.broker.c.url.label("broker"),
).outerjoin_from(m.instance, m.broker)


def names(connection: Connection, app: str, after: str, limit: int | None) -> list[str]:
    wanted = select(m.instance.c.name).where(
        m.instance.c.app == app, m.instance.c.name > after, ~m.instance.c.is_deleting
    )
    return list(connection.scalars(wanted.order_by(m.instance.c.name).limit(limit)))


def get(connection: Connection, name: str) -> Instance:
    found = matching(connection, is_named(name))
    if not found:
        raise not_found(name)
    return found[0]


def matching(connection: Connection, condition: ColumnElement[bool]) -> list[Instance]:
    """All that meet *condition*, by name: two queries, however many."""
    consumed = m.instance_queue
    rows = connection.execute(
        select(consumed.c.instance, consumed.c.queue)
        .join(m.instance, m.instance.c.name == consumed.c.instance)
        .where(condition)
        .order_by(consumed.c.instance, consumed.c.position)
    )
    consumes: dict[str, list[str]] = defaultdict(list)
    for instance, queue in rows:
        consumes[instance].append(queue)
    wanted = _SELECT.where(condition).order_by(m.instance.c.name)
    return [_instance(row, consumes.get(row.name, ())) for row in connection.execute(wanted)]


def born(connection: Connection, branch: str) -> dict[str, datetime]:
    columns = (m.instance.c.name, m.instance.c.created_at, m.instance.c.move)
    rows = connection.execute(select(*columns).where(is_of_branch(branch)))
    return {row.name: row.created_at for row in rows if not is_handed(_move(row.move))}


def count(connection: Connection, branch: str) -> int:
    wanted = select(func.count()).select_from(m.instance)
    return connection.scalar(wanted.where(is_of_branch(branch), ~m.instance.c.is_deleting)) or 0


def is_named(name: str) -> ColumnElement[bool]:
    return m.instance.c.name == name


def is_one_of(names: Sequence[str]) -> ColumnElement[bool]:
    return m.instance.c.name.in_(names)


def is_of_app(app: str) -> ColumnElement[bool]:
    return m.instance.c.app == app


def is_of(app: str | None, branch: str | None) -> ColumnElement[bool]:
    """Of the app, and of the branch, where one is named."""
    conditions = ([is_of_app(app)] if app else []) + ([is_of_branch(branch)] if branch else [])
    return and_(true(), *conditions)


def is_of_branch(branch: str) -> ColumnElement[bool]:
    return m.instance.c.branch == branch


def add(connection: Connection, instance: Instance) -> None:
    apps.require(connection, instance.app)
    known = select(m.instance.c.app).where(is_named(instance.name))
    owner = connection.scalar(known)
    if owner is not None:
        raise Conflict(f"there is an instance {instance.name!r} already, of app {owner!r}")
    connection.execute(
        insert(m.instance).values(
            name=instance.name,
            app=instance.app,
            created_at=instance.created_at,
            generation=instance.generation,
            **_values(connection, instance),
        )
    )
    _consume(connection, instance)


def save(connection: Connection, instance: Instance) -> Instance:
    """Store an edit of the generation it was made from, under the next.

    Raises ``Conflict`` where another edit came first.
    """
    stored = get(connection, instance.name)
    check_edit(stored, instance)
    before = _broker_id(connection, instance.name)
    values = _values(connection, instance)
    saved = connection.execute(
        update(m.instance)
        .where(
            is_named(instance.name),
            is_of_app(instance.app),
            m.instance.c.generation == instance.generation,
        )
        .values(generation=instance.generation + 1, is_pending=True, **values)
    )
    if saved.rowcount == 0:
        raise Conflict(f"instance {instance.name!r} was changed meanwhile", "look again")
    if before != values["broker_id"]:
        brokers.release(connection, before)
    if instance.queues != stored.queues:
        _consume(connection, instance)
    return replace(instance, generation=instance.generation + 1, created_at=stored.created_at)


def touch(connection: Connection, app: str) -> list[Instance]:
    connection.execute(update(m.instance).where(is_of_app(app)).values(NEXT_GENERATION))
    return matching(connection, is_of_app(app))


def touch_named(connection: Connection, names: Sequence[str]) -> None:
    for start in range(0, len(names), BATCH):
        theirs = is_one_of(names[start : start + BATCH])
        connection.execute(update(m.instance).where(theirs).values(NEXT_GENERATION))


def remove(connection: Connection, name: str) -> str:
    """The name of the app that it was of comes back."""
    before = _broker_id(connection, name)
    app = connection.scalar(select(m.instance.c.app).where(is_named(name)))
    connection.execute(delete(m.instance).where(is_named(name)))
    brokers.release(connection, before)
    return str(app)


def not_found(name: str) -> NotFound:
    return NotFound(f"there is no instance {name!r}", "GET /<app>/instances/ lists those of an app")


def _broker_id(connection: Connection, name: str) -> int | None:
    row = connection.execute(select(m.instance.c.broker_id).where(is_named(name))).first()
    if row is None:
        raise not_found(name)
    return row.broker_id  # type: ignore[no-any-return]


def _values(connection: Connection, instance: Instance) -> dict[str, Any]:
    values = {field: getattr(instance, field) for field in _EDITABLE}
    values["arguments"] = list(instance.arguments)
    values["broker_id"] = brokers.refer(connection, instance.broker)
    values["pause"] = instance.pause and instance.pause.as_dict()
    values["move"] = instance.move and instance.move.as_dict()
    return values


def _consume(connection: Connection, instance: Instance) -> None:
    consumed = m.instance_queue
    connection.execute(delete(consumed).where(consumed.c.instance == instance.name))
    if not instance.queues:
        return
    known = set(queues.names(connection, instance.app, "", None))
    for queue in instance.queues:
        if queue not in known:
            raise queues.not_found(instance.app, queue)
    connection.execute(
        insert(consumed),
        [
            {"instance": instance.name, "app": instance.app, "queue": queue, "position": position}
            for position, queue in enumerate(instance.queues)
        ],
    )


def _instance(row: Row[Any], consumes: Sequence[str]) -> Instance:
    values = row._asdict()
    values["arguments"] = tuple(row.arguments)
    values["pause"] = row.pause and Pause.from_dict(row.pause)
    values["move"] = _move(row.move)
    values["queues"] = tuple(consumes)
    return Instance(**values)


def _move(stored: Mapping[str, Any] | None) -> Move | None:
    return None if stored is None else Move.from_dict(stored)
