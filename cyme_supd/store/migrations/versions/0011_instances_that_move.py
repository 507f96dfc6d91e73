"""Instances that move from a branch to another."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("instance", sa.Column("move", sa.JSON(none_as_null=True)))
    op.add_column("branch", sa.Column("moving", sa.JSON(none_as_null=True)))
    op.create_table(
        "receipt",
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("is_taken", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_receipt")),
    )
