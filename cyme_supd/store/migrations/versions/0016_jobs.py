"""Jobs in their categories, and their runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _make_jobs()
    _make_runs()
    _make_keys()


def _make_jobs() -> None:
    name, instant = _name(), _instant()
    op.create_table(
        "category",
        sa.Column("name", name, nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 128", name=op.f("ck_category_name_length")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_category")),
        sa.UniqueConstraint("id", name=op.f("uq_category_id")),
    )
    op.create_table(
        "job",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("category", name, nullable=False),
        sa.Column("name", name, nullable=False),
        sa.Column("schedule", sa.String(256), nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("command", sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")),
        sa.Column("argv", sa.JSON()),
        sa.Column("routing_key", name, nullable=False),
        sa.Column("app", name),
        sa.Column("timezone", sa.String(128)),
        sa.Column("timeout_s", sa.Integer()),
        sa.Column("overlap", sa.String(8), nullable=False),
        sa.Column("catch_up", sa.String(8), nullable=False),
        sa.Column("deadline_s", sa.Integer()),
        sa.Column("retries", sa.Integer(), nullable=False),
        sa.Column("jitter_s", sa.Integer(), nullable=False),
        sa.Column("environment", sa.JSON(), nullable=False),
        sa.Column("user", sa.Text()),
        sa.Column("is_paused", sa.Boolean(), nullable=False),
        sa.Column("next_fire_at", instant),
        sa.Column("due_at", instant),
        sa.ForeignKeyConstraint(
            ["category"], ["category.name"], name=op.f("fk_job_category"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint("category", "name", name=op.f("uq_job_category_name")),
    )
    op.create_index(op.f("ix_job_due_at_id"), "job", ["due_at", "id"])
    op.create_index(op.f("ix_job_next_fire_at_id"), "job", ["next_fire_at", "id"])
    op.create_index(op.f("ix_job_app"), "job", ["app"])


def _make_runs() -> None:
    name, instant = _name(), _instant()
    op.create_table(
        "run",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("job_id", sa.String(36), nullable=False),
        sa.Column("category", name, nullable=False),
        sa.Column("name", name, nullable=False),
        sa.Column("fire_at", instant, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("queued_at", instant, nullable=False),
        sa.Column("started_at", instant),
        sa.Column("finished_at", instant),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("exit_code", sa.Integer()),
        sa.Column("signal", sa.Integer()),
        sa.Column("host", sa.Text()),
        sa.Column("branch", name),
        sa.Column("instance", name),
        sa.Column("reason", sa.Text()),
        sa.Column("app", name),
        sa.Column("wants_cancel", sa.Boolean(), nullable=False),
        sa.Column("order_at", instant),
        sa.Column("orders", sa.Integer(), nullable=False),
        sa.Column("nonce", sa.String(32)),
        sa.Column("reply", name),
        sa.Column("heard_at", instant),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
        sa.UniqueConstraint("job_id", "fire_at", name=op.f("uq_run_job_id_fire_at")),
    )
    op.create_index(op.f("ix_run_fire_at_id"), "run", ["fire_at", "id"])
    op.create_index(op.f("ix_run_status_fire_at_id"), "run", ["status", "fire_at", "id"])
    op.create_index(op.f("ix_run_order_at_id"), "run", ["order_at", "id"])
    op.create_index(op.f("ix_run_job_id_status"), "run", ["job_id", "status"])
    _make_events()


def _make_events() -> None:
    instant = _instant()
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "run_event",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["run.id"], name=op.f("fk_run_event_run_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_event")),
    )
    op.create_index(op.f("ix_run_event_run_id"), "run_event", ["run_id"])
    tail = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
    op.create_table(
        "run_output",
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("tail", tail, nullable=False),
        sa.Column("is_truncated", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["run.id"], name=op.f("fk_run_output_run_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run_output")),
    )


def _make_keys() -> None:
    op.create_table(
        "withdrawal",
        sa.Column("nonce", sa.String(32), nullable=False),
        sa.Column("at", _instant(), nullable=False),
        sa.PrimaryKeyConstraint("nonce", name=op.f("pk_withdrawal")),
    )
    op.create_index(op.f("ix_withdrawal_at"), "withdrawal", ["at"])
    op.create_table(
        "shared_key",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("value", sa.String(128), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_shared_key")),
    )


def _name() -> sa.types.TypeEngine[str]:
    return sa.String(128).with_variant(sa.String(128, collation="C"), "postgresql")


def _instant() -> sa.DateTime:
    return sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def downgrade() -> None:
    for table in ("run_event", "run", "job", "category"):
        op.drop_table(table)
