"""Claims on names of instances, as rows."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from cyme_supd.domain.claim import Claim
from cyme_supd.store import models as m


def get(connection: Connection, name: str) -> Claim | None:
    row = connection.execute(select(m.claim).where(m.claim.c.name == name)).first()
    return None if row is None else Claim(**row._asdict())


def save(connection: Connection, claim: Claim) -> None:
    remove(connection, claim.name)
    connection.execute(
        insert(m.claim).values(
            name=claim.name,
            branch=claim.branch,
            draw=claim.draw,
            claimed_at=claim.claimed_at,
            is_lost=claim.is_lost,
        )
    )


def remove(connection: Connection, name: str) -> None:
    connection.execute(delete(m.claim).where(m.claim.c.name == name))
