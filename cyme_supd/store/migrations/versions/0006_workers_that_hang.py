"""Workers that hang."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("app", "instance"):
        op.add_column(table, sa.Column("hung_timeout_s", sa.Integer()))
