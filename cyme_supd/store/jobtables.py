"""The tables of jobs and runs."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import mysql

from cyme_supd.store.columns import Instant, metadata, name_is_whole, name_type

#: The ids of jobs and runs are UUIDs.
_ID = String(36)

category = Table(
    "category",
    metadata,
    Column("name", name_type(), primary_key=True),
    # It follows from the name; to be found by.
    Column("id", _ID, nullable=False, unique=True),
    name_is_whole(),
)

job = Table(
    "job",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("category", ForeignKey("category.name", ondelete="CASCADE"), nullable=False),
    Column("name", name_type(), nullable=False),
    Column("schedule", String(256), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("command", Text().with_variant(mysql.MEDIUMTEXT(), "mysql")),
    Column("argv", JSON(none_as_null=True)),
    Column("routing_key", name_type(), nullable=False),
    # Not a reference: the app may be gone, and come back.
    Column("app", name_type()),
    Column("timezone", String(128)),
    Column("timeout_s", Integer),
    Column("overlap", String(8), nullable=False),
    Column("catch_up", String(8), nullable=False),
    Column("deadline_s", Integer),
    Column("retries", Integer, nullable=False),
    Column("jitter_s", Integer, nullable=False),
    Column("environment", JSON, nullable=False),
    Column("user", Text),
    Column("is_paused", Boolean, nullable=False),
    Column("next_fire_at", Instant),
    Column("due_at", Instant),
    UniqueConstraint("category", "name"),
    # However many there are, those that are due are found at once, and the next page.
    Index(None, "due_at", "id"),
    Index(None, "next_fire_at", "id"),
    # Which brokers jobs use is asked every few seconds.
    Index(None, "app"),
)

run = Table(
    "run",
    metadata,
    Column("id", _ID, primary_key=True),
    # Not a reference: a run outlives its job, and has its names.
    Column("job_id", _ID, nullable=False),
    Column("category", name_type(), nullable=False),
    Column("name", name_type(), nullable=False),
    Column("fire_at", Instant, nullable=False),
    Column("status", String(16), nullable=False),
    Column("queued_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("attempt", Integer, nullable=False),
    Column("exit_code", Integer),
    Column("signal", Integer),
    Column("host", Text),
    Column("branch", name_type()),
    Column("instance", name_type()),
    Column("reason", Text),
    Column("app", name_type()),
    Column("wants_cancel", Boolean, nullable=False),
    Column("order_at", Instant),
    Column("orders", Integer, nullable=False),
    Column("nonce", String(32)),
    Column("reply", name_type()),
    Column("heard_at", Instant),
    # A fire time is dispatched once, whoever tries.
    UniqueConstraint("job_id", "fire_at"),
    Index(None, "fire_at", "id"),
    Index(None, "status", "fire_at", "id"),
    Index(None, "order_at", "id"),
    # Those that are under way are few; which of a job's are, is asked at each fire time.
    Index(None, "job_id", "status"),
)

run_output = Table(
    "run_output",
    metadata,
    Column("run_id", ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
    Column("at", Instant, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("tail", LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql"), nullable=False),
    Column("is_truncated", Boolean, nullable=False),
)

withdrawal = Table(
    "withdrawal",
    metadata,
    # A claim may arrive after it was given up.
    Column("nonce", String(32), primary_key=True),
    Column("at", Instant, nullable=False, index=True),
)

shared_key = Table(
    "shared_key",
    metadata,
    # What all branches at one database have the same.
    Column("name", String(32), primary_key=True),
    Column("value", String(128), nullable=False),
)

run_event = Table(
    "run_event",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("run_id", ForeignKey("run.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", Instant, nullable=False),
    Column("type", String(16), nullable=False),
    Column("message", Text, nullable=False),
)
