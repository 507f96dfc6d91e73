"""The tables, in types that SQLite, PostgreSQL and MariaDB all have."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    false,
    true,
)
from sqlalchemy.dialects import mysql

from cyme_supd.store.columns import Instant, metadata, name_is_whole, name_type
from cyme_supd.store.jobtables import (
    category,
    job,
    run,
    run_event,
    run_output,
    shared_key,
    withdrawal,
)
from cyme_supd.store.ledgertables import ledger, ledger_gap, ledger_refusal, ledger_source

__all__ = [
    "MAX_CONCURRENCY",
    "Instant",
    "app",
    "audit",
    "branch",
    "broker",
    "catalogue",
    "category",
    "claim",
    "entry",
    "instance",
    "instance_queue",
    "job",
    "ledger",
    "ledger_gap",
    "ledger_refusal",
    "ledger_source",
    "metadata",
    "queue",
    "receipt",
    "rollout",
    "run",
    "run_event",
    "run_output",
    "shared_key",
    "status",
    "task",
    "tokens",
    "turn",
    "users",
    "withdrawal",
]

MAX_CONCURRENCY = 1000

broker = Table(
    "broker",
    metadata,
    Column("id", Integer, primary_key=True),
    # A URL is longer than what MariaDB can index: its sha256 is what is unique.
    Column("digest", String(64), nullable=False, unique=True),
    Column("url", Text, nullable=False),
)

app = Table(
    "app",
    metadata,
    Column("name", name_type(), primary_key=True),
    Column("created_at", Instant, nullable=False),
    Column("broker_id", ForeignKey("broker.id", ondelete="RESTRICT"), index=True),
    Column("arguments", JSON, nullable=False),
    Column("extra_config", JSON, nullable=False),
    Column("celery_app", Text),
    Column("directory", Text),
    Column("environment", JSON, nullable=False),
    Column("user", Text),
    Column("command", Text),
    Column("result_backend", Text),
    Column("pool", String(16)),
    Column("stop_timeout_s", Integer),
    Column("hung_timeout_s", Integer),
    Column("is_deleting", Boolean, nullable=False),
    Column("pause", JSON(none_as_null=True)),
    Column("rollout", JSON(none_as_null=True)),
    Column("is_tracked", Boolean, nullable=False, server_default=false()),
    name_is_whole(),
)

queue = Table(
    "queue",
    metadata,
    Column("app", ForeignKey("app.name", ondelete="CASCADE"), primary_key=True),
    Column("name", name_type(), primary_key=True),
    Column("exchange", name_type(), nullable=False),
    Column("exchange_type", String(16), nullable=False),
    Column("routing_key", name_type(), nullable=False),
    Column("options", JSON, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("pause", JSON(none_as_null=True)),
    # At most 128 characters and 255 bytes.
    CheckConstraint("length(name) BETWEEN 1 AND 255", name="name_length"),
)

#: What the catalogue knows of every app and queue, and of those that were deleted.
entry = Table(
    "entry",
    metadata,
    # Not references: what was deleted has an entry, too.
    Column("app", name_type(), primary_key=True),
    # Empty for the app itself.
    Column("queue", name_type(), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("origin", name_type(), nullable=False),
    Column("digest", String(64), nullable=False),
    # Of a tombstone.
    Column("deleted_at", Instant, index=True),
)

#: One row, with the id 1, as soon as an entry has changed.
catalogue = Table(
    "catalogue",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    # The highest number of a version that was ever seen here.
    Column("highest", BigInteger, nullable=False),
    # How often entries have changed.
    Column("changes", BigInteger, nullable=False),
)

instance = Table(
    "instance",
    metadata,
    Column("name", name_type(), primary_key=True),
    Column("app", ForeignKey("app.name", ondelete="RESTRICT"), nullable=False, index=True),
    # Not a reference: an instance may be there before its branch first reports.
    Column("branch", name_type(), nullable=False, index=True),
    Column("created_at", Instant, nullable=False),
    Column("is_enabled", Boolean, nullable=False),
    Column("is_deleting", Boolean, nullable=False),
    Column("is_forced", Boolean, nullable=False),
    Column("broker_id", ForeignKey("broker.id", ondelete="RESTRICT"), index=True),
    Column("max_concurrency", Integer, nullable=False),
    Column("min_concurrency", Integer, nullable=False),
    Column("pool", String(16)),
    Column("arguments", JSON, nullable=False),
    Column("extra_config", JSON, nullable=False),
    Column("stop_timeout_s", Integer),
    Column("hung_timeout_s", Integer),
    Column("generation", Integer, nullable=False),
    Column("restarts", Integer, nullable=False),
    Column("pause", JSON(none_as_null=True)),
    Column("move", JSON(none_as_null=True)),
    # Whether its generation is ahead of its status': to be found by an index,
    # however many have nothing to be looked at for.
    Column("is_pending", Boolean, nullable=False, server_default=true()),
    Index(None, "branch", "is_pending"),
    name_is_whole(),
    name_is_whole("branch"),
    CheckConstraint(
        f"max_concurrency BETWEEN 1 AND {MAX_CONCURRENCY}"
        " AND min_concurrency BETWEEN 0 AND max_concurrency",
        name="concurrency",
    ),
    CheckConstraint("generation >= 1", name="generation"),
)

instance_queue = Table(
    "instance_queue",
    metadata,
    Column("instance", ForeignKey("instance.name", ondelete="CASCADE"), primary_key=True),
    Column("queue", name_type(), primary_key=True),
    Column("app", name_type(), nullable=False),
    Column("position", Integer, nullable=False),
    ForeignKeyConstraint(["app", "queue"], ["queue.app", "queue.name"], ondelete="CASCADE"),
    Index(None, "app", "queue"),
)

status = Table(
    "status",
    metadata,
    Column("name", ForeignKey("instance.name", ondelete="CASCADE"), primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("state", String(16)),
    Column("pid", Integer),
    Column("ready", Boolean),
    Column("consuming", Boolean),
    Column("autoscale_max", Integer),
    Column("autoscale_min", Integer),
    Column("conditions", JSON, nullable=False),
    Column("queues", JSON(none_as_null=True)),
)

rollout = Table(
    "rollout",
    metadata,
    Column("app", ForeignKey("app.name", ondelete="CASCADE"), primary_key=True),
    Column("branch", name_type(), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("progress", JSON, nullable=False),
)

task = Table(
    "task",
    metadata,
    Column("id", String(36), primary_key=True),
    # Not a reference: a result may outlive the app.
    Column("app", name_type(), nullable=False),
    Column("state", String(16), nullable=False),
    Column("result", JSON(none_as_null=True)),
    Column("error", Text().with_variant(mysql.MEDIUMTEXT(), "mysql")),
    Column("finished_at", Instant, nullable=False, index=True),
)

claim = Table(
    "claim",
    metadata,
    Column("name", name_type(), primary_key=True),
    Column("branch", name_type(), nullable=False),
    Column("draw", String(32), nullable=False),
    Column("claimed_at", Instant, nullable=False),
    Column("is_lost", Boolean, nullable=False),
)

#: What became of every instance that another branch has handed over, by its move.
receipt = Table(
    "receipt",
    metadata,
    Column("token", String(32), primary_key=True),
    Column("is_taken", Boolean, nullable=False),
)

branch = Table(
    "branch",
    metadata,
    Column("id", name_type(), primary_key=True),
    Column("url", Text, nullable=False),
    Column("port", Integer, nullable=False),
    Column("version", String(64), nullable=False),
    Column("sup_interval", Double, nullable=False),
    Column("numc", Integer, nullable=False),
    Column("loglevel", String(16), nullable=False),
    Column("logfile", Text),
    Column("started_at", Instant, nullable=False),
    Column("observed_at", Instant),
    Column("health", JSON, nullable=False),
    # Asked for by somebody, where all else in the row is what the branch says.
    Column("is_draining", Boolean, nullable=False, server_default=false()),
    # How far it is that moves its instances away: by its own word, once asked for.
    Column("moving", JSON(none_as_null=True)),
    # Who alone may act for it, and how long, where others have the database, too.
    Column("lease_holder", Text),
    Column("lease_until", Instant),
    name_is_whole("id"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at", Instant, nullable=False, index=True),
    Column("actor", String(128), nullable=False),
    Column("address", String(64), nullable=False),
    Column("agent", String(128), nullable=False),
    Column("branch", String(128), nullable=False),
    Column("verb", String(16), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("app", String(128), nullable=False),
    Column("name", String(128), nullable=False),
    # Not JSON: they are searched, in the same words on every database.
    Column("was", Text),
    Column("now", Text),
    Index("ix_audit_app_name", "app", "name"),
)

users = Table(
    "users",
    metadata,
    Column("name", name_type(), primary_key=True),
    Column("password_hash", String(255), nullable=False),
    Column("role", String(16), nullable=False),
    Column("created_at", Instant, nullable=False),
    name_is_whole(),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("label", String(200), nullable=False),
    Column("user", ForeignKey("users.name", ondelete="CASCADE"), index=True),
    # The sha256 of its secret, which is nowhere.
    Column("digest", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    # Not a reference: the app may be another branch's, and come back.
    Column("app", name_type()),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("last_used_at", Instant),
)

sessions = Table(
    "sessions",
    metadata,
    # The sha256 of its secret, which is nowhere.
    Column("id", String(64), primary_key=True),
    Column("user", ForeignKey("users.name", ondelete="CASCADE"), index=True),
    Column("token", ForeignKey("tokens.id", ondelete="CASCADE"), index=True),
    Column("created_at", Instant, nullable=False),
    Column("last_used_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
)

#: What a branch measured of an app at one moment, and of all of them where that is "".
sample = Table(
    "sample",
    metadata,
    Column("branch", name_type(), primary_key=True),
    Column("app", name_type(), primary_key=True),
    Column("at", Instant, primary_key=True),
    Column("is_coarse", Boolean, nullable=False),
    Column("whole", JSON, nullable=False),
    # JSON, compressed, of the queues and the instances.
    Column("parts", LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql"), nullable=False),
    Index("ix_sample_app_at", "app", "at"),
)

transition = Table(
    "transition",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    # Not a reference: what became of an instance is told when it is gone, too.
    Column("name", name_type(), nullable=False),
    Column("at", Instant, nullable=False, index=True),
    Column("state", String(16)),
    Column("ready", Boolean),
    Column("consuming", Boolean),
    Column("reason", String(128), nullable=False),
    Index("ix_transition_name_at", "name", "at"),
)

#: A row for all who write to a server, and some for those who record: see servers.py.
turn = Table(
    "turn",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
)
