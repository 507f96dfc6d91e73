"""How far rolling restarts got, as rows: one for each app and branch."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from cyme_supd.domain.rollout import RolloutState, RolloutStatus
from cyme_supd.store import models as m


def matching(connection: Connection, branch: str | None, app: str | None) -> list[RolloutStatus]:
    wanted = select(m.rollout).order_by(m.rollout.c.app, m.rollout.c.branch)
    if branch is not None:
        wanted = wanted.where(m.rollout.c.branch == branch)
    if app is not None:
        wanted = wanted.where(m.rollout.c.app == app)
    return [_status(row) for row in connection.execute(wanted)]


def save(connection: Connection, status: RolloutStatus) -> None:
    """Store it; passed over where the app is gone."""
    if connection.scalar(select(m.app.c.name).where(m.app.c.name == status.app)) is None:
        return
    values = _values(status)
    theirs = (m.rollout.c.app == status.app) & (m.rollout.c.branch == status.branch)
    known = connection.execute(select(m.rollout.c.app).where(theirs)).first()
    if known is None:
        connection.execute(insert(m.rollout).values(app=status.app, branch=status.branch, **values))
    else:
        connection.execute(update(m.rollout).where(theirs).values(**values))


def _values(status: RolloutStatus) -> dict[str, Any]:
    return {
        "number": status.number,
        "attempt": status.attempt,
        "state": str(status.state),
        "progress": {
            "restarted": list(status.restarted),
            "left": list(status.left),
            "stopped_at": status.stopped_at,
            "reason": status.reason,
        },
    }


def _status(row: Row[Any]) -> RolloutStatus:
    progress = row.progress
    return RolloutStatus(
        app=row.app,
        branch=row.branch,
        number=row.number,
        attempt=row.attempt,
        state=RolloutState(row.state),
        restarted=tuple(progress["restarted"]),
        left=tuple(progress["left"]),
        stopped_at=progress["stopped_at"],
        reason=progress["reason"],
    )
