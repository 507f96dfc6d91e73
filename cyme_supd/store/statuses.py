"""What was observed of instances, as rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Connection, Row, Text, bindparam, cast, insert, select, update

from cyme_supd.clock import isoformat
from cyme_supd.domain.changes import Trace
from cyme_supd.domain.status import Condition, ProcessState, Status
from cyme_supd.store import instances
from cyme_supd.store import models as m

#: Names in one query; every database takes that many parameters.
BATCH = 500


def get(connection: Connection, name: str) -> Status | None:
    row = connection.execute(select(m.status).where(m.status.c.name == name)).first()
    return None if row is None else _status(row)


def of_branch(connection: Connection, branch: str | None) -> dict[str, Status]:
    """Or of all, where none is named."""
    rows = connection.execute(
        select(m.status).join(m.instance).where(instances.is_of(None, branch))
    )
    return {row.name: _status(row) for row in rows}


def traces(connection: Connection, branch: str | None) -> dict[str, Trace]:
    # As it is stored: to read the facts out of it is what costs.
    told = [cast(each, Text) if isinstance(each.type, JSON) else each for each in m.status.c]
    rows = connection.execute(
        select(m.instance.c.name, m.instance.c.app, *told[1:])
        .select_from(m.status.join(m.instance))
        .where(instances.is_of(None, branch))
    )
    return {row[0]: Trace(row[1], tuple(row[2:])) for row in rows}


def pending(connection: Connection, branch: str) -> list[str]:
    wanted = select(m.instance.c.name).where(
        instances.is_of_branch(branch), m.instance.c.is_pending
    )
    return list(connection.scalars(wanted.order_by(m.instance.c.name)))


def save(connection: Connection, statuses: Iterable[Status]) -> None:
    """Store them; passed over where the instance is gone.

    A generation that the instance has not reached was observed of an earlier
    one by the same name: gone too.
    """
    wanted = {status.name: status for status in statuses}
    new: list[dict[str, Any]] = []
    known: list[dict[str, Any]] = []
    caught_up: list[dict[str, Any]] = []
    for name, generation, is_pending, is_known in _generations(connection, list(wanted)):
        if wanted[name].generation <= generation:
            (known if is_known else new).append(_values(wanted[name]))
        if is_pending and wanted[name].generation == generation:
            caught_up.append({"of": name})
    if new:
        connection.execute(insert(m.status), new)
    if known:
        # A column's own name would mean the value to set.
        by_name = update(m.status).where(m.status.c.name == bindparam("of"))
        connection.execute(by_name, [{"of": row.pop("name"), **row} for row in known])
    if caught_up:
        by_name = update(m.instance).where(m.instance.c.name == bindparam("of"))
        connection.execute(by_name.values(is_pending=False), caught_up)


def _generations(connection: Connection, names: list[str]) -> Iterator[tuple[str, int, bool, bool]]:
    """Of those instances that are there: name, generation, whether that is ahead of
    the status, whether a status is stored."""
    for start in range(0, len(names), BATCH):
        rows = connection.execute(
            select(
                m.instance.c.name,
                m.instance.c.generation,
                m.instance.c.is_pending,
                m.status.c.name,
            )
            .select_from(m.instance.outerjoin(m.status))
            .where(m.instance.c.name.in_(names[start : start + BATCH]))
        )
        for name, generation, is_pending, known in rows:
            yield name, generation, is_pending, known is not None


def _values(status: Status) -> dict[str, Any]:
    most, least = status.autoscale or (None, None)
    return {
        "name": status.name,
        "generation": status.generation,
        "state": status.state and str(status.state),
        "pid": status.pid,
        "ready": status.ready,
        "consuming": status.consuming,
        "autoscale_max": most,
        "autoscale_min": least,
        "queues": None if status.queues is None else list(status.queues),
        "conditions": [_fact(condition) for condition in status.conditions],
    }


def _status(row: Row[Any]) -> Status:
    has_limits = row.autoscale_max is not None
    return Status(
        name=row.name,
        generation=row.generation,
        state=None if row.state is None else ProcessState(row.state),
        pid=row.pid,
        ready=row.ready,
        consuming=row.consuming,
        autoscale=(row.autoscale_max, row.autoscale_min) if has_limits else None,
        queues=None if row.queues is None else tuple(row.queues),
        conditions=tuple(_condition(fact) for fact in row.conditions),
    )


def _fact(condition: Condition) -> dict[str, Any]:
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "since": isoformat(condition.since),
    }


def _condition(fact: Mapping[str, Any]) -> Condition:
    return Condition(**{**fact, "since": datetime.fromisoformat(fact["since"])})
