"""Opens the database: everything in the store that only SQLite has is here.

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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import TimeoutError as PoolTimeout

from cyme_supd.errors import Conflict, CymeError, Invalid, Unavailable

BUSY_TIMEOUT_S = 5.0
#: Execution option of a connection whose transactions mean to write.
IS_WRITING = "cyme_is_writing"

_SCHEME = "sqlite:///"
_TRY_AGAIN = "try again"
_REASONS = {
    sqlite3.SQLITE_BUSY: ("the database is locked", _TRY_AGAIN),
    sqlite3.SQLITE_LOCKED: ("the database is locked", _TRY_AGAIN),
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
    return _SCHEME + quote(os.path.abspath(path))


def open_engine(url: str, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Engine:
    """An engine for *url*, ``sqlite:///`` and a percent-encoded absolute path.

    Its errors are :exc:`Unavailable`, :exc:`Conflict` and :exc:`Invalid`. The
    file must be there: one that vanished is an error, not an empty fleet.
    :func:`create_file` makes it.
    """
    path = _path(url)
    engine = create_engine(
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
    event.listen(engine, "begin", _begin)
    event.listen(engine, "handle_error", _raise_ours)
    return engine


def create_file(engine: Engine) -> None:
    """Make an empty database, mode 0600, where there is none."""
    path = str(engine.url.database)
    try:
        # Exclusively: to open and close the file of a database in use would
        # drop every lock that this process has on it.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return
    except OSError as exc:
        raise Unavailable(f"the database {path} cannot be made: {exc.strerror}") from exc


class Changes:
    """Counts what is committed to a database, by whomever.

    SQLite tells a connection, through ``PRAGMA data_version``, that *another*
    one committed; so one connection is kept that never writes, and for it
    every commit is another's, those of this very process too. The pragma's
    numbers mean nothing to a second connection, hence one for all threads,
    under a lock, and a count of our own that survives its being reopened.
    """

    def __init__(self, engine: Engine, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
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


@contextmanager
def connected(engine: Engine) -> Iterator[Connection]:
    """A connection; :exc:`Unavailable` when none gets free in time."""
    try:
        connection = engine.connect()
    except PoolTimeout as exc:
        raise Unavailable("no connection to the database got free", _TRY_AGAIN) from exc
    with connection:
        yield connection


def begin_snapshot(connection: Connection) -> None:
    """Pin what this reading transaction sees, which SQLite puts off to the first query."""
    connection.exec_driver_sql("SELECT 1 FROM sqlite_master LIMIT 1").close()


def _path(url: str) -> Path:
    path = unquote(url.removeprefix(_SCHEME))
    if not url.startswith(_SCHEME) or not os.path.isabs(path) or "?" in url or "\0" in path:
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


def _begin(connection: Connection) -> None:
    # A deferred transaction that reads first cannot write after somebody
    # else did: SQLITE_BUSY at once, whatever the timeout.
    is_writing = connection.get_execution_options().get(IS_WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN DEFERRED")


def _raise_ours(context: ExceptionContext) -> BaseException | None:
    exc = context.original_exception
    if isinstance(exc, sqlite3.OperationalError) and _code(exc) in _OUTLIVE_THEIR_CAUSE:
        context.is_disconnect = True
    return _ours(exc)


def _ours(exc: BaseException) -> CymeError | None:
    """What *exc* is to the rest of Cyme; ``None`` for a fault of our own."""
    if isinstance(exc, CymeError):
        return exc
    if isinstance(exc, sqlite3.IntegrityError):
        return _collision(exc)
    if isinstance(exc, sqlite3.DataError | ValueError | OverflowError):
        return Invalid(f"a value cannot be stored: {_reason(exc)}")
    if isinstance(exc, sqlite3.ProgrammingError | sqlite3.NotSupportedError):
        return None
    if isinstance(exc, sqlite3.Error):
        return _unavailable(exc)
    return None


def _reason(exc: BaseException) -> str:
    # A UnicodeEncodeError's text shows the value, which may be a secret.
    return exc.reason if isinstance(exc, UnicodeEncodeError) else str(exc)


def _collision(exc: sqlite3.IntegrityError) -> CymeError:
    if exc.sqlite_errorcode in _BAD_VALUES:
        return Invalid(f"a value is out of its bounds: {exc}")
    return Conflict(f"this collides with what is stored: {exc}", "look again, and then try again")


def _unavailable(exc: sqlite3.Error) -> Unavailable:
    message, hint = _REASONS.get(_code(exc), ("the database cannot be used", _TRY_AGAIN))
    return Unavailable(f"{message}: {exc}", hint)


def _code(exc: sqlite3.Error) -> int:
    # The low byte is the error, the others its particulars.
    code: int = getattr(exc, "sqlite_errorcode", 0)
    return code & 0xFF
