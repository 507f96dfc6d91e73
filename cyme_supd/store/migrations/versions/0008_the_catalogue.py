"""The catalogue: a version of every app and queue.

Those that are there have the first, of no branch in particular.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0008"
down_revision = "0006"
branch_labels = None
depends_on = None

BATCH = 500


def upgrade() -> None:
    name = (
        sa.String(128)
        .with_variant(sa.String(128, collation="C"), "postgresql")
        .with_variant(sa.String(128, collation="utf8mb4_bin"), "mysql", "mariadb")
    )
    instant = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    entry = op.create_table(
        "entry",
        sa.Column("app", name, nullable=False),
        sa.Column("queue", name, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("origin", name, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("deleted_at", instant),
        sa.PrimaryKeyConstraint("app", "queue", name=op.f("pk_entry")),
    )
    op.create_index(op.f("ix_entry_deleted_at"), "entry", ["deleted_at"])
    # Its row comes with the first change; until then the entries say what is the highest.
    op.create_table(
        "catalogue",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("highest", sa.BigInteger(), nullable=False),
        sa.Column("changes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalogue")),
    )
    rows = list(_entries(op.get_bind()))
    for start in range(0, len(rows), BATCH):
        op.bulk_insert(entry, rows[start : start + BATCH])


def _entries(connection: sa.Connection) -> Iterator[dict[str, Any]]:
    """The digest tells rows apart that two hosts have by one name before they become a fleet."""
    apps = connection.exec_driver_sql("SELECT * FROM app").mappings().all()
    brokers = connection.exec_driver_sql("SELECT id, url FROM broker").mappings().all()
    urls = {row["id"]: row["url"] for row in brokers}
    for row in apps:
        told = {**row, "broker_id": urls.get(row["broker_id"])}
        yield _entry(row["name"], "", told)
    for row in connection.exec_driver_sql("SELECT * FROM queue").mappings().all():
        yield _entry(row["app"], row["name"], {**row})


def _entry(app: str, queue: str, row: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(row, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    values = {"app": app, "queue": queue, "number": 1, "origin": "", "digest": digest}
    return {**values, "deleted_at": None}
