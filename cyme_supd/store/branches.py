"""Branches, as rows."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, insert, select, update

from cyme_supd.domain.moving import Moving
from cyme_supd.domain.status import Branch
from cyme_supd.errors import NotFound
from cyme_supd.store import models as m

_FIELDS = tuple(field.name for field in fields(Branch))
_SELECT: Select[Any] = select(*(m.branch.c[field] for field in _FIELDS))


def ids(connection: Connection) -> list[str]:
    return list(connection.scalars(select(m.branch.c.id).order_by(m.branch.c.id)))


def everyone(connection: Connection) -> list[Branch]:
    return [Branch(**row._asdict()) for row in connection.execute(_SELECT.order_by(m.branch.c.id))]


def get(connection: Connection, id: str) -> Branch:
    row = connection.execute(_SELECT.where(m.branch.c.id == id)).first()
    if row is None:
        raise not_found(id)
    return Branch(**row._asdict())


def save(connection: Connection, branch: Branch) -> None:
    values = {field: getattr(branch, field) for field in _FIELDS}
    known = connection.execute(update(m.branch).where(m.branch.c.id == branch.id).values(**values))
    if known.rowcount == 0:
        connection.execute(insert(m.branch).values(**values))


def is_draining(connection: Connection, id: str) -> bool:
    """One that has not reported yet is not."""
    found = connection.scalar(select(m.branch.c.is_draining).where(m.branch.c.id == id))
    return bool(found)


def drain(connection: Connection, id: str, is_draining: bool) -> None:
    done = connection.execute(
        update(m.branch).where(m.branch.c.id == id).values(is_draining=is_draining)
    )
    if done.rowcount == 0:
        raise not_found(id)


def moving(connection: Connection, id: str) -> Moving | None:
    stored = connection.scalar(select(m.branch.c.moving).where(m.branch.c.id == id))
    return None if stored is None else Moving.from_dict(stored)


def save_moving(connection: Connection, id: str, moving: Moving | None) -> None:
    values = {"moving": moving and moving.as_dict()}
    done = connection.execute(update(m.branch).where(m.branch.c.id == id).values(**values))
    if done.rowcount == 0 and id not in ids(connection):
        raise not_found(id)


def take_lease(connection: Connection, id: str, holder: str, now: datetime, lasts_s: float) -> str:
    """Write *holder* down until *lasts_s* after *now*, unless another is; who it is."""
    its = m.branch.c.id == id
    # Locked, where a server lets others record at the same time.
    wanted = select(m.branch.c.lease_holder, m.branch.c.lease_until).where(its)
    row = connection.execute(wanted.with_for_update()).first()
    if row is None:
        raise not_found(id)
    if row.lease_holder not in (None, holder) and row.lease_until > now:
        return str(row.lease_holder)
    lease = {"lease_holder": holder, "lease_until": now + timedelta(seconds=lasts_s)}
    connection.execute(update(m.branch).where(its).values(**lease))
    return holder


def lease_holder(connection: Connection, id: str, now: datetime) -> str | None:
    """Who has it and has not let it run out; of a branch that is not there nobody."""
    its = (m.branch.c.id == id, m.branch.c.lease_until > now)
    return connection.scalar(select(m.branch.c.lease_holder).where(*its))


def not_found(id: str) -> NotFound:
    return NotFound(f"there is no branch {id!r}", "GET /branches/ lists the branches")
