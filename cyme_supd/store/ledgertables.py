"""The tables of tasks that are tracked."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import mysql

from cyme_supd.store.columns import metadata

_NUMBER = BigInteger().with_variant(Integer, "sqlite")
_LONG = Text().with_variant(mysql.MEDIUMTEXT(), "mysql")


def _word() -> Any:
    return String(255).with_variant(String(255, collation="C"), "postgresql")


#: Not a row for all that is known of a task, but for where it is found: the rest is
#: in ``record``, as JSON, with the order of each fact.
ledger = Table(
    "ledger",
    metadata,
    # In the order in which they came, which a random id would have every database shuffle.
    Column("number", _NUMBER, primary_key=True),
    Column("source", String(16), nullable=False),
    Column("id", _word(), nullable=False),
    Column("name", _word()),
    Column("state", String(16), nullable=False),
    Column("worker", _word()),
    Column("queue", _word()),
    Column("error", _word()),
    Column("root", _word()),
    Column("parent", _word()),
    Column("lost", String(16)),
    # Microseconds of the epoch.
    Column("began_at", BigInteger, nullable=False),
    Column("record", _LONG, nullable=False),
    Column("message", _LONG),
    UniqueConstraint("id", "source"),
    Index("ix_ledger_began_at", "began_at", "number"),
    Index("ix_ledger_name", "name", "began_at", "number"),
    Index("ix_ledger_state", "state", "began_at", "number"),
    Index("ix_ledger_queue", "queue", "began_at", "number"),
    *(
        Index(
            f"ix_ledger_{name}",
            name,
            "began_at",
            "number",
            # Most rows have none.
            postgresql_where=text(f"{name} IS NOT NULL"),
            sqlite_where=text(f"{name} IS NOT NULL"),
        )
        for name in ("worker", "error", "root", "parent", "lost")
    ),
)

ledger_source = Table(
    "ledger_source",
    metadata,
    Column("key", String(16), primary_key=True),
    Column("queue", _word(), nullable=False),
    Column("watched_at", Double, nullable=False),
    Column("message_at", Double, nullable=False),
    Column("event_at", Double, nullable=False),
    Column("server", String(64), nullable=False),
    Column("refused", JSON, nullable=False),
    Column("workers", JSON, nullable=False),
)

ledger_gap = Table(
    "ledger_gap",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("source", String(16), nullable=False, index=True),
    Column("what", String(16), nullable=False),
    Column("since", Double, nullable=False),
    Column("until", Double, nullable=False, index=True),
    Column("reason", Text, nullable=False),
)

ledger_refusal = Table(
    "ledger_refusal",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("source", String(16), nullable=False, index=True),
    Column("at", Double, nullable=False),
    Column("reason", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
