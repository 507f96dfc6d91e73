"""PostgreSQL, by psycopg 3."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Dialect,
    Engine,
    String,
    Table,
    any_,
    event,
    literal,
)

from cyme_supd.clock import SystemClock
from cyme_supd.domain.database import parse_database
from cyme_supd.errors import Conflict, CymeError, Invalid, Unavailable
from cyme_supd.store.kinds import TRY_AGAIN, reason
from cyme_supd.store.servers import (
    CONNECT_TIMEOUT_S,
    IS_MIGRATING,
    ServerChanges,
    enter,
    open_server,
)

#: What who migrates holds; of the database, whatever else uses such locks.
_MIGRATION_LOCK = 0x63796D65
_OLDEST = (12,)
_PATIENCE = "patience_s"
_MIGRATE = "start cyme-branch on it: it migrates the database"
#: By the beginning of the SQLSTATE; the first that fits.
_REASONS = (
    ("55P03", "the database is locked", TRY_AGAIN),
    ("57014", "the database takes too long", TRY_AGAIN),
    ("40", "this collided with another change", TRY_AGAIN),
    ("25006", "the database is read-only", "see whether it is a standby"),
    ("53100", "the disk of the database is full", "make room there"),
    ("53", "the database is at its limits", "see its max_connections and memory"),
    ("42501", "the database may not be used", "see the rights of its user"),
    ("42P01", "the database has another schema", _MIGRATE),
    ("42703", "the database has another schema", _MIGRATE),
    ("42P07", "the database has something of that name", "see what that is"),
    ("42701", "the database has something of that name", "see what that is"),
    ("42710", "the database has something of that name", "see what that is"),
    ("58", "the disk of the database does not work", "see the server's log"),
    ("XX", "the database is damaged", "see the server's log"),
)
_BAD_VALUES = ("22", "23502", "23514")
_COLLISIONS = ("23",)


class Postgresql:
    """A look is a REPEATABLE READ transaction that is read only. One that writes
    is READ COMMITTED: each statement sees what was committed when its turn came,
    where a snapshot would be of the time before it had waited."""

    is_shared = True

    def open(self, url: str, busy_timeout_s: float) -> Engine:
        busy_ms = int(busy_timeout_s * 1000)
        settings = {
            "lock_timeout": max(1, busy_ms * 4 // 5),
            "statement_timeout": max(1, busy_ms),
            "idle_in_transaction_session_timeout": max(1, busy_ms),
            "timezone": "UTC",
            # The server's end, which nobody closes where we are cut off.
            "tcp_keepalives_idle": 5,
            "tcp_keepalives_interval": 2,
            "tcp_keepalives_count": 3,
            "tcp_user_timeout": max(1, 3 * busy_ms),
        }
        connect_args = {
            "connect_timeout": CONNECT_TIMEOUT_S,
            "tcp_user_timeout": max(1, busy_ms),
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "application_name": "cyme",
            "client_encoding": "utf8",
            "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
            # BEGIN is ours to send, see begin.
            "autocommit": True,
            # A plan that a migration made invalid would fail where it is kept.
            "prepare_threshold": None,
        }
        database = parse_database(url)
        engine = open_server(
            database, "postgresql+psycopg", busy_timeout_s, connect_args, _PATIENCE
        )
        bounded = _bounded_class(engine.dialect.loaded_dbapi, busy_timeout_s + 0.5)

        @event.listens_for(engine, "do_connect")
        def connect(_: Dialect, record: Any, args: list[Any], given: dict[str, Any]) -> Any:
            return bounded.connect(*args, **given)

        return engine

    def create(self, engine: Engine) -> None:
        """A server's database is made by those who look after it."""

    def begin(self, connection: Connection, is_writing: bool) -> None:
        if is_writing:
            connection.exec_driver_sql("BEGIN ISOLATION LEVEL READ COMMITTED")
            enter(connection)
        elif connection.get_execution_options().get(IS_MIGRATING):
            connection.exec_driver_sql("BEGIN ISOLATION LEVEL READ COMMITTED")
        else:
            connection.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def pin(self, connection: Connection) -> None:
        # The snapshot is of the first query, not of BEGIN.
        connection.exec_driver_sql("SELECT 1").close()

    @contextmanager
    def migrating(self, engine: Engine) -> Iterator[Connection]:
        """In one transaction: all of it or none."""
        migrator = engine.execution_options(**{IS_MIGRATING: True})
        with migrator.connect() as connection, connection.begin():
            _check_server(connection)
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})").close()
            yield connection

    def outlives_its_cause(self, exc: BaseException) -> bool:
        return False

    def ours(self, exc: BaseException) -> CymeError | None:
        if not _is_drivers(exc):
            is_value = isinstance(exc, ValueError | OverflowError)
            return Invalid(f"a value cannot be stored: {reason(exc)}") if is_value else None
        return _ours(exc, getattr(exc, "sqlstate", None) or "")

    def changes(self, engine: Engine, busy_timeout_s: float) -> ServerChanges:
        return ServerChanges(engine, self.ours, busy_timeout_s, _PATIENCE)

    def insert(
        self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """In one parameter: a statement for each row costs the server twice as much, and
        one with a parameter for each value costs the driver even more.
        """
        names = ", ".join(f'"{name}"' for name in rows[0])
        given = json.dumps(list(rows), default=_plain)
        connection.exec_driver_sql(
            f"INSERT INTO {table.name} ({names}) SELECT {names}"
            f" FROM json_populate_recordset(NULL::{table.name}, %s)",
            (given,),
        )

    def is_among(self, column: ColumnElement[str], values: Sequence[str]) -> ColumnElement[bool]:
        """In one parameter, too."""
        return column == any_(literal(list(values), ARRAY(String)))

    def now(self, connection: Connection, now: datetime) -> datetime:
        at = connection.exec_driver_sql("SELECT clock_timestamp() AT TIME ZONE 'UTC'").scalar_one()
        assert isinstance(at, datetime)
        return at.replace(tzinfo=UTC)


def _plain(value: object) -> str:
    """A time, which JSON has none of, without an offset, as it is stored."""
    assert isinstance(value, datetime)
    return value.astimezone(UTC).replace(tzinfo=None).isoformat()


def _check_server(connection: Connection) -> None:
    version = connection.dialect.server_version_info or _OLDEST
    if version < _OLDEST:
        raise Invalid(f"PostgreSQL {version[0]} is too old", f"{_OLDEST[0]} or newer is needed")
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise Invalid(
            f"the database's encoding is {encoding}", "CREATE DATABASE ... ENCODING 'UTF8'"
        )


def _is_drivers(exc: BaseException) -> bool:
    # By name: the driver need not be installed where another is used.
    return any(each.__module__.startswith("psycopg") for each in type(exc).__mro__)


def _ours(exc: BaseException, sqlstate: str) -> CymeError | None:
    if sqlstate.startswith(_BAD_VALUES):
        return Invalid(f"a value is out of its bounds: {_first_line(exc)}")
    if sqlstate.startswith(_COLLISIONS):
        collision = f"this collides with what is stored: {_first_line(exc)}"
        return Conflict(collision, "look again, and then try again")
    for beginning, message, hint in _REASONS:
        if sqlstate.startswith(beginning):
            return Unavailable(f"{message}: {_first_line(exc)}", hint)
    names = {each.__name__ for each in type(exc).__mro__}
    if "DataError" in names:
        return Invalid(f"a value cannot be stored: {_first_line(exc)}")
    if names & {"ProgrammingError", "NotSupportedError"}:
        return None
    return Unavailable(f"the database cannot be used: {_first_line(exc)}", TRY_AGAIN)


def _first_line(exc: BaseException) -> str:
    # The others tell the row, which has secrets in it.
    return (str(exc).strip().splitlines() or [type(exc).__name__])[0]


def _bounded_class(psycopg: Any, timeout_s: float) -> Any:
    """The driver's connection, that waits for an answer no longer than its ``patience_s``.

    The server's own timeouts do not help where the server itself stands still,
    or the line is cut, and the driver has none.
    """
    monotonic = SystemClock().monotonic

    def bounded(connection: Any, waiting: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        deadline = monotonic() + connection.patience_s
        try:
            wanted = next(waiting)
            while True:
                ready = yield wanted
                if not ready and monotonic() >= deadline:
                    connection.pgconn.finish()
                    raise psycopg.OperationalError("the database does not answer")
                wanted = waiting.send(ready)
        except StopIteration as done:
            return done.value

    class Bounded(psycopg.Connection):  # type: ignore[misc]
        patience_s = timeout_s

        def wait(self, waiting: Generator[Any, Any, Any], *args: Any, **given: Any) -> Any:
            return super().wait(bounded(self, waiting), *args, **given)

    return Bounded
