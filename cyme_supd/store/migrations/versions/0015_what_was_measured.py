"""What was measured over the last hours, and how instances changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    name = sa.String(128).with_variant(sa.String(128, collation="C"), "postgresql")
    instant = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    op.create_table(
        "sample",
        sa.Column("branch", name, nullable=False),
        sa.Column("app", name, nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.Column("is_coarse", sa.Boolean(), nullable=False),
        sa.Column("whole", sa.JSON(), nullable=False),
        sa.Column(
            "parts",
            sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("branch", "app", "at", name=op.f("pk_sample")),
    )
    op.create_index(op.f("ix_sample_app_at"), "sample", ["app", "at"])
    op.create_table(
        "transition",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("name", name, nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.Column("state", sa.String(16)),
        sa.Column("ready", sa.Boolean()),
        sa.Column("consuming", sa.Boolean()),
        sa.Column("reason", sa.String(128), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transition")),
    )
    op.create_index(op.f("ix_transition_at"), "transition", ["at"])
    op.create_index(op.f("ix_transition_name_at"), "transition", ["name", "at"])


def downgrade() -> None:
    op.drop_table("transition")
    op.drop_table("sample")
