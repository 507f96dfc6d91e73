"""MariaDB and MySQL, by PyMySQL."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, Table, event
from sqlalchemy.dialects.mysql import insert as mysql_insert
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateTable

from cyme_supd.domain.database import parse_database
from cyme_supd.errors import Conflict, CymeError, Invalid, Unavailable
from cyme_supd.store.kinds import LANE, TRY_AGAIN, PlainRows, reason
from cyme_supd.store.servers import (
    CONNECT_TIMEOUT_S,
    IS_MIGRATING,
    ServerChanges,
    enter,
    open_server,
)

#: Which keep to CHECK, and have a collation that counts every space.
_OLDEST = {"MariaDB": (10, 6), "MySQL": (8, 0, 17)}
#: The driver looks at it before each read; it has no other name for it.
_PATIENCE = "_read_timeout"
#: Kept at the driver's connection: whether its replicas repeat statements, as a server
#: takes none that writes and reads what is committed for.
_IS_REPEATED = "cyme_is_repeated"
_IDLE_S = 60
_MIGRATE = "start cyme-branch on it: it migrates the database"
_REASONS = {
    1205: ("the database is locked", TRY_AGAIN),
    1213: ("this collided with another change", TRY_AGAIN),
    1020: ("this collided with another change", TRY_AGAIN),
    1969: ("the database takes too long", TRY_AGAIN),
    3024: ("the database takes too long", TRY_AGAIN),
    1290: ("the database is read-only", "see whether it is a replica"),
    1792: ("the database is read-only", "see whether it is a replica"),
    1836: ("the database is read-only", "see whether it is a replica"),
    1021: ("the disk of the database is full", "make room there"),
    1114: ("the disk of the database is full", "make room there"),
    1040: ("the database is at its limits", "see its max_connections"),
    1203: ("the database is at its limits", "see its max_user_connections"),
    1044: ("the database may not be used", "see the rights of its user"),
    1045: ("the database does not let us in", "see user and password of --database"),
    1142: ("the database may not be used", "see the rights of its user"),
    1698: ("the database does not let us in", "see user and password of --database"),
    1049: ("there is no such database", "CREATE DATABASE it"),
    1054: ("the database has another schema", _MIGRATE),
    1146: ("the database has another schema", _MIGRATE),
}
_BAD_VALUES = frozenset({1048, 1153, 1264, 1265, 1292, 1366, 1364, 1406, 3819, 3140, 4025})
_COLLISIONS = frozenset({1022, 1062, 1451, 1452, 1557, 1586})
_FAULTS_OF_OUR_OWN = frozenset({"ProgrammingError", "NotSupportedError"})


class Mysql(PlainRows):
    """A look has its snapshot from the start. One that writes needs none of its own:
    it is taken by its first query, and by then it has waited for its turn."""

    is_shared = True

    def open(self, url: str, busy_timeout_s: float) -> Engine:
        connect_args = {
            "connect_timeout": CONNECT_TIMEOUT_S,
            # Until it lets us in; then as long as _PATIENCE says.
            "read_timeout": CONNECT_TIMEOUT_S,
            "write_timeout": busy_timeout_s + 0.5,
            "charset": "utf8mb4",
            # START TRANSACTION is ours to send, see begin.
            "autocommit": True,
        }
        # Always by this name: which of the two answers is seen when it does.
        engine = open_server(
            parse_database(url), "mysql+pymysql", busy_timeout_s, connect_args, _PATIENCE
        )

        @event.listens_for(engine, "connect")
        def settle(connection: Any, _: Any) -> None:
            cursor = connection.cursor()
            for setting in _settings(connection.get_server_info(), busy_timeout_s):
                cursor.execute(f"SET SESSION {setting}")
            # Not by their names alone: newer servers have only one format, and no such name.
            cursor.execute("SHOW VARIABLES WHERE Variable_name IN ('log_bin', 'binlog_format')")
            found = {name: value.upper() for name, value in cursor.fetchall()}
            is_repeated = found == {"log_bin": "ON", "binlog_format": "STATEMENT"}
            setattr(connection, _IS_REPEATED, is_repeated)
            cursor.close()
            setattr(connection, _PATIENCE, busy_timeout_s + 0.5)

        return engine

    def create(self, engine: Engine) -> None:
        """A server's database is made by those who look after it."""

    def begin(self, connection: Connection, is_writing: bool) -> None:
        if is_writing:
            if LANE in connection.get_execution_options() and not _is_repeated(connection):
                # Who takes rows is to lock those alone, and not the gaps between them,
                # into which others that record put theirs.
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            connection.exec_driver_sql("START TRANSACTION")
            enter(connection)
        elif connection.get_execution_options().get(IS_MIGRATING):
            connection.exec_driver_sql("START TRANSACTION")
        else:
            connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def pin(self, connection: Connection) -> None:
        """It is pinned by its beginning."""

    @contextmanager
    def migrating(self, engine: Engine) -> Iterator[Connection]:
        """Every statement is committed by itself: what was cut short is gone on with."""
        migrator = engine.execution_options(**{IS_MIGRATING: True})
        with migrator.connect() as connection:
            _check_server(connection)
            with _lock(connection, str(engine.url.database)), connection.begin():
                yield connection

    def outlives_its_cause(self, exc: BaseException) -> bool:
        return False

    def ours(self, exc: BaseException) -> CymeError | None:
        # By name: the driver need not be installed where another is used.
        names = {each.__name__ for each in type(exc).__mro__ if "pymysql" in each.__module__}
        if not names:
            is_value = isinstance(exc, ValueError | OverflowError)
            return Invalid(f"a value cannot be stored: {reason(exc)}") if is_value else None
        return _ours(exc, names)

    def changes(self, engine: Engine, busy_timeout_s: float) -> ServerChanges:
        return ServerChanges(engine, self.ours, busy_timeout_s, _PATIENCE)

    def update(
        self,
        connection: Connection,
        table: Table,
        names: Sequence[str],
        rows: Sequence[Mapping[str, Any]],
    ) -> None:
        """In one statement: one for each row takes as many times as long."""
        put = mysql_insert(table)
        changed = {name: put.inserted[name] for name in names}
        connection.execute(put.on_duplicate_key_update(changed), list(rows))

    def now(self, connection: Connection, now: datetime) -> datetime:
        at = connection.exec_driver_sql("SELECT UTC_TIMESTAMP(6)").scalar_one()
        assert isinstance(at, datetime)
        return at.replace(tzinfo=UTC)


def _is_repeated(connection: Connection) -> bool:
    return bool(getattr(connection.connection.dbapi_connection, _IS_REPEATED))


def is_there_already(exc: BaseException) -> bool:
    """Whether a statement failed because what it makes has been made before."""
    return _code(exc) in (1050, 1060, 1061, 1826)


def _settings(version: str, busy_timeout_s: float) -> tuple[str, ...]:
    busy_s = max(1, round(busy_timeout_s))
    shared = (
        "TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
        f"innodb_lock_wait_timeout = {max(1, busy_s * 4 // 5)}",
        f"lock_wait_timeout = {busy_s}",
        "time_zone = '+00:00'",
    )
    if _is_mariadb(version):
        return (
            *shared,
            f"max_statement_time = {busy_s}",
            f"idle_transaction_timeout = {busy_s}",
            # Sessions that we were cut off from are idle to it; a pool that is
            # idle for as long connects anew.
            f"wait_timeout = {max(_IDLE_S, 2 * busy_s)}",
        )
    # MySQL does not tell who is idle in a transaction from who is just idle.
    return (*shared, f"max_execution_time = {busy_s * 1000}", f"wait_timeout = {2 * busy_s}")


def _is_mariadb(version: str) -> bool:
    return "mariadb" in version.lower()


def _check_server(connection: Connection) -> None:
    name = "MariaDB" if getattr(connection.dialect, "is_mariadb", False) else "MySQL"
    version, oldest = connection.dialect.server_version_info or _OLDEST[name], _OLDEST[name]
    if version < oldest:
        found, needed = (".".join(map(str, each)) for each in (version, oldest))
        raise Invalid(f"{name} {found} is too old", f"{needed} or newer is needed")


@contextmanager
def _lock(connection: Connection, database: str) -> Iterator[None]:
    """Held by the session, and so over the commits that a migration is made of."""
    # Names of locks are of the whole server, and short.
    name = "cyme-" + hashlib.sha256(database.encode()).hexdigest()[:32]
    timeout_s = connection.exec_driver_sql("SELECT @@lock_wait_timeout").scalar_one()
    taken = connection.exec_driver_sql("SELECT GET_LOCK(%s, %s)", (name, timeout_s)).scalar_one()
    connection.rollback()
    if taken != 1:
        raise Unavailable("the database is being migrated by another", TRY_AGAIN)
    try:
        yield
    finally:
        # Out of the pool, and with it goes the lock, whatever state it is in.
        connection.invalidate()


def _ours(exc: BaseException, names: set[str]) -> CymeError | None:
    code, said = _code(exc), _said(exc)
    if code in _BAD_VALUES or "DataError" in names:
        return Invalid(f"a value is out of its bounds: {said}")
    if code in _COLLISIONS:
        return Conflict(f"this collides with what is stored: {said}", "look again, and then try")
    if code in _REASONS:
        message, hint = _REASONS[code]
        return Unavailable(f"{message}: {said}", hint)
    if names & _FAULTS_OF_OUR_OWN and not is_there_already(exc):
        return None
    return Unavailable(f"the database cannot be used: {said}", TRY_AGAIN)


def _code(exc: BaseException) -> int:
    first = exc.args[0] if exc.args else 0
    return first if isinstance(first, int) else 0


def _said(exc: BaseException) -> str:
    words = [str(each) for each in exc.args[1:2]] or [str(exc)]
    return words[0].strip() or "the connection is closed"


@compiles(CreateTable, "mysql")
def _create_table(element: CreateTable, compiler: Any, **given: Any) -> str:
    """Whatever the server's defaults: text is compared by code point, to its last space."""
    collation = "utf8mb4_nopad_bin" if compiler.dialect.is_mariadb else "utf8mb4_0900_bin"
    made: str = compiler.visit_create_table(element, **given)
    return f"{made.rstrip()} ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE={collation}"
