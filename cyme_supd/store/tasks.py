"""How tasks ended, as rows; one that has not has none."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from cyme_supd.domain.task import Task, TaskState
from cyme_supd.store import models as m

#: Ids in one query; every database takes that many parameters.
_BATCH = 500


def get(connection: Connection, id: str) -> Task | None:
    if "\0" in id:
        # PostgreSQL has no such text, and refuses to be asked for it.
        return None
    row = connection.execute(select(m.task).where(m.task.c.id == id)).first()
    return None if row is None else _task(row)


def save(connection: Connection, tasks: Iterable[Task]) -> None:
    """Store those that are not there yet: the first word about a task stands."""
    wanted = {task.id: task for task in reversed(list(tasks))}
    ids = list(wanted)
    for start in range(0, len(ids), _BATCH):
        known = select(m.task.c.id).where(m.task.c.id.in_(ids[start : start + _BATCH]))
        for id in connection.scalars(known):
            del wanted[id]
    if wanted:
        connection.execute(insert(m.task), [_values(task) for task in wanted.values()])


def remove(connection: Connection, before: datetime) -> int:
    """Forget those that ended before then; how many comes back."""
    return connection.execute(delete(m.task).where(m.task.c.finished_at < before)).rowcount


def _values(task: Task) -> dict[str, Any]:
    return {
        "id": task.id,
        "app": task.app,
        "state": str(task.state),
        "result": None if task.result is None else dict(task.result),
        "error": task.error,
        "finished_at": task.finished_at,
    }


def _task(row: Row[Any]) -> Task:
    return Task(**{**row._asdict(), "state": TaskState(row.state)})
