"""The first schema."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

#: By code point, whatever the database's language.
NAME = sa.String(128).with_variant(sa.String(128, collation="C"), "postgresql")
#: UTC, to the microsecond.
INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")


def upgrade() -> None:
    _brokers()
    _apps()
    _queues()
    _instances()
    _consumers()
    _statuses()
    _branches()


def _brokers() -> None:
    op.create_table(
        "broker",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_broker"),
        sa.UniqueConstraint("digest", name="uq_broker_digest"),
    )


def _apps() -> None:
    op.create_table(
        "app",
        sa.Column("name", NAME, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("broker_id", sa.Integer()),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("extra_config", sa.JSON(), nullable=False),
        sa.Column("celery_app", sa.Text()),
        sa.Column("directory", sa.Text()),
        sa.Column("environment", sa.JSON(), nullable=False),
        sa.Column("user", sa.Text()),
        sa.Column("command", sa.Text()),
        sa.Column("result_backend", sa.Text()),
        sa.Column("pool", sa.String(16)),
        sa.Column("stop_timeout_s", sa.Integer()),
        sa.Column("is_deleting", sa.Boolean(), nullable=False),
        _name_is_whole("app"),
        _refers("app", ["broker_id"], ["broker.id"], "RESTRICT"),
        sa.PrimaryKeyConstraint("name", name="pk_app"),
    )
    op.create_index("ix_app_broker_id", "app", ["broker_id"])


def _queues() -> None:
    op.create_table(
        "queue",
        sa.Column("app", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("exchange", NAME, nullable=False),
        sa.Column("exchange_type", sa.String(16), nullable=False),
        sa.Column("routing_key", NAME, nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 255", name=op.f("ck_queue_name_length")),
        _refers("queue", ["app"], ["app.name"], "CASCADE"),
        sa.PrimaryKeyConstraint("app", "name", name="pk_queue"),
    )


def _instances() -> None:
    op.create_table(
        "instance",
        sa.Column("name", NAME, nullable=False),
        sa.Column("app", NAME, nullable=False),
        sa.Column("branch", NAME, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("is_deleting", sa.Boolean(), nullable=False),
        sa.Column("is_forced", sa.Boolean(), nullable=False),
        sa.Column("broker_id", sa.Integer()),
        sa.Column("max_concurrency", sa.Integer(), nullable=False),
        sa.Column("min_concurrency", sa.Integer(), nullable=False),
        sa.Column("pool", sa.String(16)),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("extra_config", sa.JSON(), nullable=False),
        sa.Column("stop_timeout_s", sa.Integer()),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("restarts", sa.Integer(), nullable=False),
        _name_is_whole("instance"),
        _name_is_whole("instance", "branch"),
        sa.CheckConstraint(
            "max_concurrency BETWEEN 1 AND 1000 AND min_concurrency BETWEEN 0 AND max_concurrency",
            name=op.f("ck_instance_concurrency"),
        ),
        sa.CheckConstraint("generation >= 1", name=op.f("ck_instance_generation")),
        _refers("instance", ["app"], ["app.name"], "RESTRICT"),
        _refers("instance", ["broker_id"], ["broker.id"], "RESTRICT"),
        sa.PrimaryKeyConstraint("name", name="pk_instance"),
    )
    for column in ("app", "branch", "broker_id"):
        op.create_index(f"ix_instance_{column}", "instance", [column])


def _consumers() -> None:
    op.create_table(
        "instance_queue",
        sa.Column("instance", NAME, nullable=False),
        sa.Column("queue", NAME, nullable=False),
        sa.Column("app", NAME, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        _refers("instance_queue", ["instance"], ["instance.name"], "CASCADE"),
        _refers("instance_queue", ["app", "queue"], ["queue.app", "queue.name"], "CASCADE"),
        sa.PrimaryKeyConstraint("instance", "queue", name="pk_instance_queue"),
    )
    op.create_index("ix_instance_queue_app_queue", "instance_queue", ["app", "queue"])


def _statuses() -> None:
    op.create_table(
        "status",
        sa.Column("name", NAME, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16)),
        sa.Column("pid", sa.Integer()),
        sa.Column("ready", sa.Boolean()),
        sa.Column("consuming", sa.Boolean()),
        sa.Column("autoscale_max", sa.Integer()),
        sa.Column("autoscale_min", sa.Integer()),
        sa.Column("conditions", sa.JSON(), nullable=False),
        _refers("status", ["name"], ["instance.name"], "CASCADE"),
        sa.PrimaryKeyConstraint("name", name="pk_status"),
    )


def _branches() -> None:
    op.create_table(
        "branch",
        sa.Column("id", NAME, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("sup_interval", sa.Double(), nullable=False),
        sa.Column("numc", sa.Integer(), nullable=False),
        sa.Column("loglevel", sa.String(16), nullable=False),
        sa.Column("logfile", sa.Text()),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("observed_at", INSTANT),
        sa.Column("health", sa.JSON(), nullable=False),
        _name_is_whole("branch", "id"),
        sa.PrimaryKeyConstraint("id", name="pk_branch"),
    )


def _name_is_whole(table: str, column: str = "name") -> sa.CheckConstraint:
    return sa.CheckConstraint(
        f"length({column}) BETWEEN 1 AND 128", name=op.f(f"ck_{table}_{column}_length")
    )


def _refers(table: str, columns: list[str], to: list[str], ondelete: str) -> Any:
    name = "_".join(["fk", table, *columns])
    return sa.ForeignKeyConstraint(columns, to, name=name, ondelete=ondelete)
