"""Branches, as rows."""

from __future__ import annotations

from dataclasses import fields

from sqlalchemy import Connection, insert, select, update

from cyme_supd.domain.status import Branch
from cyme_supd.errors import NotFound
from cyme_supd.store import models as m

_FIELDS = tuple(field.name for field in fields(Branch))


def ids(connection: Connection) -> list[str]:
    return list(connection.scalars(select(m.branch.c.id).order_by(m.branch.c.id)))


def get(connection: Connection, id: str) -> Branch:
    row = connection.execute(select(m.branch).where(m.branch.c.id == id)).first()
    if row is None:
        raise NotFound(f"there is no branch {id!r}", "GET /branches/ lists the branches")
    return Branch(**row._asdict())


def save(connection: Connection, branch: Branch) -> None:
    values = {field: getattr(branch, field) for field in _FIELDS}
    known = connection.execute(update(m.branch).where(m.branch.c.id == branch.id).values(**values))
    if known.rowcount == 0:
        connection.execute(insert(m.branch).values(**values))
