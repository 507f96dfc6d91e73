"""Pauses, and rolling restarts with how far they got."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("app", "queue", "instance"):
        op.add_column(table, sa.Column("pause", sa.JSON(none_as_null=True)))
    op.add_column("app", sa.Column("rollout", sa.JSON(none_as_null=True)))
    name = sa.String(128).with_variant(sa.String(128, collation="C"), "postgresql")
    op.create_table(
        "rollout",
        sa.Column("app", name, nullable=False),
        sa.Column("branch", name, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("progress", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["app"], ["app.name"], name=op.f("fk_rollout_app"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("app", "branch", name=op.f("pk_rollout")),
    )
