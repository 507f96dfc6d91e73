"""The door to the database, whichever it is.

Open an engine *after* fork, one in every process. Nothing is connected
before the first use.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import TimeoutError as PoolTimeout

from cyme_supd.config import Config
from cyme_supd.domain.database import MYSQL, POSTGRESQL, parse_database
from cyme_supd.errors import CymeError, Unavailable
from cyme_supd.store.kinds import BUSY_TIMEOUT_S, IS_WRITING, TRY_AGAIN, Changes, Kind
from cyme_supd.store.mysql import Mysql
from cyme_supd.store.postgresql import Postgresql
from cyme_supd.store.sqlite import Sqlite, sqlite_url

__all__ = [
    "BUSY_TIMEOUT_S",
    "IS_WRITING",
    "begin_snapshot",
    "changes_of",
    "connected",
    "create_database",
    "database_url",
    "kind_of",
    "open_engine",
    "sqlite_url",
]

_SQLITE = "sqlite"
#: By the name of SQLAlchemy's dialect, and of what a URL says.
_KINDS: dict[str, Kind] = {_SQLITE: Sqlite(), POSTGRESQL: Postgresql(), MYSQL: Mysql()}


def database_url(config: Config) -> str:
    """Where the store of a branch is: what it shares, or the file in its root."""
    return config.database or sqlite_url(config.paths.database)


def open_engine(url: str, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Engine:
    """An engine for *url*: of :func:`sqlite_url`, or of a database that is shared.

    Its errors are :exc:`Unavailable`, :exc:`Conflict` and :exc:`Invalid`.
    """
    is_file = url.startswith(f"{_SQLITE}:")
    kind = _KINDS[_SQLITE if is_file else parse_database(url).kind]
    engine = kind.open(url, busy_timeout_s)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "handle_error", _raise_ours)
    return engine


def kind_of(engine: Engine) -> Kind:
    return _KINDS[engine.dialect.name]


def create_database(engine: Engine) -> None:
    """Make the file where there is none; a server's database is made by people."""
    kind_of(engine).create(engine)


def changes_of(engine: Engine, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Changes:
    return kind_of(engine).changes(engine, busy_timeout_s)


@contextmanager
def connected(engine: Engine) -> Iterator[Connection]:
    """A connection; :exc:`Unavailable` when none gets free in time."""
    try:
        connection = engine.connect()
    except PoolTimeout as exc:
        raise Unavailable("no connection to the database got free", TRY_AGAIN) from exc
    with connection:
        yield connection


def begin_snapshot(connection: Connection) -> None:
    """Pin what this reading transaction sees."""
    kind_of(connection.engine).pin(connection)


def _begin(connection: Connection) -> None:
    is_writing = connection.get_execution_options().get(IS_WRITING, False)
    kind_of(connection.engine).begin(connection, is_writing)


def _raise_ours(context: ExceptionContext) -> BaseException | None:
    exc = context.original_exception
    if isinstance(exc, CymeError):
        return exc
    if _is_expected(context):
        return None
    kind = _KINDS[context.dialect.name]
    if kind.outlives_its_cause(exc):
        context.is_disconnect = True
    if context.is_pre_ping and context.is_disconnect:
        # The pool takes the next one, or connects again.
        return None
    return kind.ours(exc)


def _is_expected(context: ExceptionContext) -> bool:
    """Whether SQLAlchemy itself asked for what may not be there."""
    of = context.execution_context
    return of is not None and bool(of.execution_options.get("skip_user_error_events"))
