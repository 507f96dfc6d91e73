"""A database in a file, which is one branch's own.

Open an engine *after* fork, one in every process: SQLite's locks belong to
the process that took them, and a connection that crossed a fork corrupts
the file. Nothing is connected before the first use.
"""

from __future__ import annotations

import functools
import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Table,
    bindparam,
    create_engine,
    update,
)

from cyme_supd.errors import Conflict, CymeError, Invalid, Unavailable
from cyme_supd.store.kinds import IS_WRITING, TRY_AGAIN, PlainRows, reason

SCHEME = "sqlite:///"

_REASONS = {
    sqlite3.SQLITE_BUSY: ("the database is locked", TRY_AGAIN),
    sqlite3.SQLITE_LOCKED: ("the database is locked", TRY_AGAIN),
    sqlite3.SQLITE_FULL: ("the disk of the database is full", "make room there"),
    sqlite3.SQLITE_IOERR: ("the disk of the database does not work", "see the system's log"),
    sqlite3.SQLITE_READONLY: ("the database is read-only", "see who owns its file and folder"),
    sqlite3.SQLITE_PERM: ("the database may not be used", "see who owns its file and folder"),
    sqlite3.SQLITE_CANTOPEN: ("the database cannot be opened", "see its file and folder"),
    sqlite3.SQLITE_CORRUPT: ("the database is damaged", "bring back a backup of its file"),
    sqlite3.SQLITE_NOTADB: ("the database's file is not one of SQLite", "see what it is"),
}
#: What a connection may go on saying when it is long over, having opened its
#: files at the wrong time: the pool's are then all opened anew.
_OUTLIVE_THEIR_CAUSE = frozenset(
    {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
)
_BAD_VALUES = frozenset({sqlite3.SQLITE_CONSTRAINT_CHECK, sqlite3.SQLITE_CONSTRAINT_NOTNULL})


def sqlite_url(path: str | os.PathLike[str]) -> str:
    """The URL of the database at *path*, whatever characters that has in it."""
    return SCHEME + quote(os.path.abspath(path))


class Sqlite(PlainRows):
    """``sqlite:///`` and a percent-encoded absolute path.

    The file must be there: one that vanished is an error, not an empty fleet.
    """

    is_shared = False

    def open(self, url: str, busy_timeout_s: float) -> Engine:
        path = _path(url)
        return create_engine(
            URL.create("sqlite", database=str(path)),
            creator=functools.partial(_connect, path, busy_timeout_s),
            # More than the threads of a process that may read at once.
            pool_size=8,
            max_overflow=56,
            pool_timeout=busy_timeout_s,
            # Parameters are secrets: broker URLs, environments.
            hide_parameters=True,
            json_serializer=functools.partial(json.dumps, allow_nan=False),
        )

    def create(self, engine: Engine) -> None:
        """An empty database, mode 0600, where there is none."""
        path = str(engine.url.database)
        try:
            # Exclusively: to open and close the file of a database in use would
            # drop every lock that this process has on it.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            return
        except OSError as exc:
            raise Unavailable(f"the database {path} cannot be made: {exc.strerror}") from exc

    def begin(self, connection: Connection, is_writing: bool) -> None:
        if is_writing:
            # A deferred transaction that reads first cannot write after somebody
            # else did: SQLITE_BUSY at once, whatever the timeout.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql("BEGIN DEFERRED")

    def pin(self, connection: Connection) -> None:
        connection.exec_driver_sql("SELECT 1 FROM sqlite_master LIMIT 1").close()

    @contextmanager
    def migrating(self, engine: Engine) -> Iterator[Connection]:
        """In one transaction: all of it or none."""
        writer = engine.execution_options(**{IS_WRITING: True})
        with writer.connect() as connection, connection.begin():
            yield connection

    def outlives_its_cause(self, exc: BaseException) -> bool:
        return isinstance(exc, sqlite3.OperationalError) and _code(exc) in _OUTLIVE_THEIR_CAUSE

    def ours(self, exc: BaseException) -> CymeError | None:
        return _ours(exc)

    def changes(self, engine: Engine, busy_timeout_s: float) -> SqliteChanges:
        return SqliteChanges(engine, busy_timeout_s)

    def update(
        self,
        connection: Connection,
        table: Table,
        names: Sequence[str],
        rows: Sequence[Mapping[str, Any]],
    ) -> None:
        # A column's own name would mean the value to set.
        by_id = update(table).where(table.c.id == bindparam("of"))
        given = [{"of": row["id"], **{name: row[name] for name in names}} for row in rows]
        connection.execute(by_id, given)

    def now(self, connection: Connection, now: datetime) -> datetime:
        return now


class SqliteChanges:
    """Counts what is committed to the file, by whomever.

    SQLite tells a connection, through ``PRAGMA data_version``, that *another*
    one committed; so one connection is kept that never writes, and for it
    every commit is another's, those of this very process too. The pragma's
    numbers mean nothing to a second connection, hence one for all threads,
    under a lock, and a count of our own that survives its being reopened.
    """

    def __init__(self, engine: Engine, busy_timeout_s: float) -> None:
        self._path = Path(str(engine.url.database))
        self._busy_timeout_s = busy_timeout_s
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._seen: int | None = None
        self._count = 0

    def count(self) -> int:
        """Grows with what was committed since the last call; a few microseconds."""
        with self._lock:
            try:
                seen = self._look()
            except sqlite3.Error as exc:
                self._close()
                raise _ours(exc) or exc from exc
            if seen != self._seen:
                self._seen = seen
                self._count += 1
            return self._count

    def stale(self) -> None:
        """It is never too late here: every call looks."""

    def close(self) -> None:
        with self._lock:
            self._close()

    def _look(self) -> int:
        if self._connection is None:
            self._connection = _connect(self._path, self._busy_timeout_s)
        seen: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return seen

    def _close(self) -> None:
        self._seen = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _path(url: str) -> Path:
    path = unquote(url.removeprefix(SCHEME))
    if not url.startswith(SCHEME) or not os.path.isabs(path) or "?" in url or "\0" in path:
        shown = url.partition(":")[0][:40]
        raise Invalid(
            f"{shown!r} is not the URL of a database that can be used here",
            "sqlite:///<absolute path>, with %, ? and # in it percent-encoded",
        )
    return Path(path)


def _connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        # mode=rw: SQLite's default would make a new, empty file.
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        timeout=busy_timeout_s,
        # BEGIN is ours to send, see _begin.
        isolation_level=None,
        # The pool hands a connection to one thread at a time.
        check_same_thread=False,
    )
    try:
        for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {setting}").close()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _ours(exc: BaseException) -> CymeError | None:
    """What *exc* is to the rest of Cyme; ``None`` for a fault of our own."""
    if isinstance(exc, sqlite3.IntegrityError):
        return _collision(exc)
    if isinstance(exc, sqlite3.DataError | ValueError | OverflowError):
        return Invalid(f"a value cannot be stored: {reason(exc)}")
    if isinstance(exc, sqlite3.ProgrammingError | sqlite3.NotSupportedError):
        return None
    if isinstance(exc, sqlite3.Error):
        return _unavailable(exc)
    return None


def _collision(exc: sqlite3.IntegrityError) -> CymeError:
    if exc.sqlite_errorcode in _BAD_VALUES:
        return Invalid(f"a value is out of its bounds: {exc}")
    return Conflict(f"this collides with what is stored: {exc}", "look again, and then try again")


def _unavailable(exc: sqlite3.Error) -> Unavailable:
    message, hint = _REASONS.get(_code(exc), ("the database cannot be used", TRY_AGAIN))
    return Unavailable(f"{message}: {exc}", hint)


def _code(exc: sqlite3.Error) -> int:
    # The low byte is the error, the others its particulars.
    code: int = getattr(exc, "sqlite_errorcode", 0)
    return code & 0xFF
