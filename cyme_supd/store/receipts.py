"""What became of instances that other branches have handed over, as rows."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from cyme_supd.store import models as m


def get(connection: Connection, token: str) -> bool | None:
    found = connection.scalar(select(m.receipt.c.is_taken).where(m.receipt.c.token == token))
    return None if found is None else bool(found)


def save(connection: Connection, token: str, is_taken: bool) -> None:
    connection.execute(insert(m.receipt).values(token=token, is_taken=is_taken))
