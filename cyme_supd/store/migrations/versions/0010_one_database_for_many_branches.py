"""One database for many branches: who acts for which, and who writes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")
    op.add_column("branch", sa.Column("lease_holder", sa.Text()))
    op.add_column("branch", sa.Column("lease_until", instant))
    op.create_table(
        "turn",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_turn")),
    )
    turn = sa.table("turn", sa.column("id"), sa.column("number"))
    # Nobody uses it yet; perhaps some of them are there, of an attempt that was cut short.
    op.execute(turn.delete())
    op.bulk_insert(turn, [{"id": id, "number": 0} for id in range(1, 18)])
