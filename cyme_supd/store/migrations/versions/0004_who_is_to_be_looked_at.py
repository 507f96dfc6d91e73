"""Who is to be looked at, by an index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "instance",
        sa.Column("is_pending", sa.Boolean(), nullable=False, server_default=sa.true()),
    )
    op.create_index(op.f("ix_instance_branch_is_pending"), "instance", ["branch", "is_pending"])
    instance = sa.table(
        "instance", sa.column("name"), sa.column("generation"), sa.column("is_pending")
    )
    status = sa.table("status", sa.column("name"), sa.column("generation"))
    has_caught_up = sa.exists().where(
        status.c.name == instance.c.name, status.c.generation >= instance.c.generation
    )
    op.execute(sa.update(instance).where(has_caught_up).values(is_pending=sa.false()))
