"""A record of tasks, and which applications are tracked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "app", sa.Column("is_tracked", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    _make_ledger()
    _make_sources()
    _make_what_is_kept_beside()


def _make_ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("number", _number(), autoincrement=True, nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("id", _word(), nullable=False),
        sa.Column("name", _word()),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("worker", _word()),
        sa.Column("queue", _word()),
        sa.Column("error", _word()),
        sa.Column("root", _word()),
        sa.Column("parent", _word()),
        sa.Column("lost", sa.String(16)),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("record", _long(), nullable=False),
        sa.Column("message", _long()),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_ledger")),
        sa.UniqueConstraint("id", "source", name=op.f("uq_ledger_id_source")),
    )
    op.create_index(op.f("ix_ledger_began_at"), "ledger", ["began_at", "number"])
    for name in ("name", "state", "queue"):
        op.create_index(op.f(f"ix_ledger_{name}"), "ledger", [name, "began_at", "number"])
    for name in ("worker", "error", "root", "parent", "lost"):
        has_one = sa.text(f"{name} IS NOT NULL")
        op.create_index(
            op.f(f"ix_ledger_{name}"),
            "ledger",
            [name, "began_at", "number"],
            postgresql_where=has_one,
            sqlite_where=has_one,
        )


def _make_sources() -> None:
    op.create_table(
        "ledger_source",
        sa.Column("key", sa.String(16), nullable=False),
        sa.Column("queue", _word(), nullable=False),
        sa.Column("watched_at", sa.Double(), nullable=False),
        sa.Column("message_at", sa.Double(), nullable=False),
        sa.Column("event_at", sa.Double(), nullable=False),
        sa.Column("server", sa.String(64), nullable=False),
        sa.Column("refused", sa.JSON(), nullable=False),
        sa.Column("workers", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_ledger_source")),
    )


def _make_what_is_kept_beside() -> None:
    op.create_table(
        "ledger_gap",
        sa.Column("id", _number(), autoincrement=True, nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("what", sa.String(16), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_gap")),
    )
    op.create_index(op.f("ix_ledger_gap_source"), "ledger_gap", ["source"])
    op.create_index(op.f("ix_ledger_gap_until"), "ledger_gap", ["until"])
    op.create_table(
        "ledger_refusal",
        sa.Column("id", _number(), autoincrement=True, nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_refusal")),
    )
    op.create_index(op.f("ix_ledger_refusal_source"), "ledger_refusal", ["source"])


def _number() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _word() -> sa.types.TypeEngine[str]:
    return sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")


def _long() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


def downgrade() -> None:
    for table in ("ledger_refusal", "ledger_gap", "ledger_source", "ledger"):
        op.drop_table(table)
    op.drop_column("app", "is_tracked")
