"""Broker URLs: one row each, referred to by apps and instances."""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection, delete, exists, insert, select

from cyme_supd.store import models as m


def refer(connection: Connection, url: str | None) -> int | None:
    """The id to store for *url*; ``None``, the default, stays that."""
    if url is None:
        return None
    digest = hashlib.sha256(url.encode()).hexdigest()
    known: int | None = connection.scalar(select(m.broker.c.id).where(m.broker.c.digest == digest))
    if known is not None:
        return known
    made = connection.execute(insert(m.broker).values(digest=digest, url=url)).inserted_primary_key
    return None if made is None else int(made[0])


def release(connection: Connection, id: int | None) -> None:
    """Forget a broker nobody refers to any more: its URL has a password in it."""
    if id is None:
        return
    connection.execute(
        delete(m.broker).where(
            m.broker.c.id == id,
            ~exists().where(m.app.c.broker_id == id),
            ~exists().where(m.instance.c.broker_id == id),
        )
    )
