"""How instances changed, as rows: added, and forgotten when they are old."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from cyme_supd.domain.status import ProcessState
from cyme_supd.domain.transitions import Transition
from cyme_supd.store import models as m

_FIELDS = ("name", "at", "state", "ready", "consuming", "reason")


def find(connection: Connection, name: str, limit: int) -> list[Transition]:
    rows = m.transition.c
    wanted = select(*(rows[field] for field in _FIELDS)).where(rows.name == name)
    newest_first = wanted.order_by(rows.at.desc(), rows.id.desc()).limit(limit)
    return [
        Transition(name, at, None if state is None else ProcessState(state), *rest)
        for name, at, state, *rest in connection.execute(newest_first)
    ]


def save(connection: Connection, transitions: Iterable[Transition]) -> None:
    values = [{field: getattr(each, field) for field in _FIELDS} for each in transitions]
    if values:
        connection.execute(insert(m.transition), values)


def remove(connection: Connection, before: datetime) -> None:
    connection.execute(delete(m.transition).where(m.transition.c.at < before))
