"""Claims on names of instances, and branches that take no new ones."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    name = (
        sa.String(128)
        .with_variant(sa.String(128, collation="C"), "postgresql")
        .with_variant(sa.String(128, collation="utf8mb4_bin"), "mysql", "mariadb")
    )
    instant = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    op.create_table(
        "claim",
        sa.Column("name", name, nullable=False),
        sa.Column("branch", name, nullable=False),
        sa.Column("draw", sa.String(32), nullable=False),
        sa.Column("claimed_at", instant, nullable=False),
        sa.Column("is_lost", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_claim")),
    )
    op.add_column(
        "branch",
        sa.Column("is_draining", sa.Boolean(), nullable=False, server_default=sa.false()),
    )


def downgrade() -> None:
    op.drop_column("branch", "is_draining")
    op.drop_table("claim")
