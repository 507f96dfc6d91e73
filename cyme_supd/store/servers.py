"""What PostgreSQL and MariaDB have in common: many branches use them at once.

*Who writes is alone.* The use-cases look and then act on what they saw, in one
transaction: that a name is free, that an app has no instance left, that nobody
has edited what they edit. On SQLite ``BEGIN IMMEDIATE`` keeps that true. Here
every transaction that writes first counts up the first row of the table ``turn``,
and has it locked until its end: the next one waits there, before it has looked
at anything, and then sees all that was committed. So there is one order of
writers, as on SQLite, and no deadlock among them: they all take this row first.

- Rather than SERIALIZABLE: that fails a transaction whose body a caller would
  have to run again, waits and answers included; and nobody could.
- Rather than an advisory lock: the row is given back with the transaction
  however that ends, is the same on both servers and behind a pooler, and on a
  cluster of several masters the second to commit fails, which a lock on one of
  them would not bring about.
- The sum of the numbers is the store's version: it is another one after each
  commit, and the same after what was taken back, as no counter of a server's is.

*Who records is not.* What every branch stores all the time is its own: its row,
its lease, how its tasks ended. Nobody looks at these and then acts on something
else, so a thousand branches need not queue up for them: each takes one of a few
other rows, its lane, which are there to be counted, too. The lease, about which
two may disagree, is looked at with its row locked. Who records takes no other
row of ``turn`` and who writes no lane, so neither waits for the other in a ring.

Readers lock nothing and wait for nobody. Whoever vanishes in the middle of a
transaction, its host cut off, is thrown out after the timeout by the server;
and who was not in one, soon after: it leaves connections of which its end is
gone, and by itself a server keeps each of its hundred for hours.
"""

from __future__ import annotations

import functools
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import PoolProxiedConnection

from cyme_supd.clock import SystemClock
from cyme_supd.domain.database import Database
from cyme_supd.errors import CymeError, Invalid, Unavailable
from cyme_supd.store.kinds import LANE, TRY_AGAIN

#: Execution option of a connection that changes the schema.
IS_MIGRATING = "cyme_is_migrating"
CONNECT_TIMEOUT_S = 3
#: For an answer that takes no time at all, from a connection that was well before;
#: with a new one after it nobody waits longer than for what takes its time.
QUICK_TIMEOUT_S = 2.0
#: Kept open in each process: a server has room for a hundred or so in all.
POOL_SIZE = 3
POOL_OVERFLOW = 9
#: What was asked so short a while ago is not asked again by another thread.
FRESH_S = 0.01

#: The id of the row that all who write take; then come those of the lanes.
_WRITERS = 1
_ENTER = "UPDATE turn SET number = number + 1 WHERE id = {}"
_COUNT = "SELECT SUM(number) FROM turn"
_NO_TURN = Unavailable(
    "the database lacks the row by which writers take turns", "bring back a backup of it"
)

Ours = Callable[[BaseException], CymeError | None]


def open_server(
    database: Database,
    driver: str,
    busy_timeout_s: float,
    connect_args: Mapping[str, Any],
    patience: str,
) -> Engine:
    """An engine for a server; *driver* is SQLAlchemy's name for kind and driver.

    *patience* is the attribute of the driver's connections that says for how many
    seconds an answer is waited for.
    """
    url = URL.create(
        driver,
        username=database.userid or None,
        password=database.password or None,
        host=database.hostname,
        port=database.port,
        database=database.name,
        query=dict(database.options),
    )
    try:
        engine = create_engine(
            url,
            connect_args=dict(connect_args),
            pool_size=POOL_SIZE,
            max_overflow=POOL_OVERFLOW,
            pool_timeout=busy_timeout_s,
            # One that is idle is the first to be dropped by the server.
            pool_use_lifo=True,
            pool_pre_ping=True,
            # Parameters are secrets: broker URLs, environments.
            hide_parameters=True,
            json_serializer=functools.partial(json.dumps, allow_nan=False),
        )
    except ImportError as exc:
        raise Invalid(
            f"the driver for {database.scheme}:// is not installed: {exc}",
            f"pip install 'cyme-supd[{database.kind}]'",
        ) from exc
    ping = engine.dialect.do_ping

    def quick_ping(connection: Any) -> bool:
        with hurried(connection, patience):
            return ping(connection)

    engine.dialect.do_ping = quick_ping  # type: ignore[method-assign,assignment]
    event.listen(engine, "connect", _note_process)
    event.listen(engine, "checkout", _check_process)
    return engine


def enter(connection: Connection) -> None:
    """Wait for one's turn; it lasts until the transaction ends."""
    lane = connection.get_execution_options().get(LANE)
    row = _WRITERS if lane is None else _WRITERS + 1 + int(lane)
    entered = connection.exec_driver_sql(_ENTER.format(row))
    if entered.rowcount != 1:
        raise _NO_TURN


@contextmanager
def hurried(connection: Any, patience: str) -> Iterator[None]:
    """Have that connection of the driver's give up soon."""
    usual = getattr(connection, patience)
    setattr(connection, patience, min(usual, QUICK_TIMEOUT_S))
    try:
        yield
    finally:
        setattr(connection, patience, usual)


class ServerChanges:
    """The sum of the turns, asked on a connection that is kept, for all threads."""

    def __init__(self, engine: Engine, ours: Ours, timeout_s: float, patience: str) -> None:
        self._engine = engine
        self._ours = ours
        self._patience = patience
        self._timeout_s = timeout_s
        self._monotonic = SystemClock().monotonic
        self._lock = threading.Lock()
        self._connection: PoolProxiedConnection | None = None
        self._seen = 0
        self._fresh_until = 0.0

    def count(self) -> int:
        # Those who come while nobody gets an answer give up together.
        if not self._lock.acquire(timeout=self._timeout_s):
            raise Unavailable("the database does not answer", TRY_AGAIN)
        try:
            if self._monotonic() >= self._fresh_until:
                self._seen = self._look()
                self._fresh_until = self._monotonic() + FRESH_S
            return self._seen
        finally:
            self._lock.release()

    def stale(self) -> None:
        self._fresh_until = 0.0

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _look(self) -> int:
        if self._connection is not None:
            try:
                return self._number(self._connection)
            except Exception:
                # Lost since it was last used, perhaps; a new one will tell.
                self._drop()
        try:
            self._connection = self._engine.raw_connection()
            return self._number(self._connection)
        except PoolTimeout as exc:
            raise Unavailable("no connection to the database got free", TRY_AGAIN) from exc
        except Exception as exc:
            self._drop()
            raise self._ours(exc) or exc from exc

    def _drop(self) -> None:
        broken, self._connection = self._connection, None
        if broken is not None:
            with suppress(Exception):
                broken.invalidate()

    def _number(self, connection: PoolProxiedConnection) -> int:
        with hurried(connection.driver_connection, self._patience):
            cursor = connection.cursor()
            cursor.execute(_COUNT)
            row = cursor.fetchone()
            cursor.close()
        if row is None or row[0] is None:
            raise _NO_TURN
        return int(row[0])


def _note_process(_: Any, record: Any) -> None:
    record.info["pid"] = os.getpid()


def _check_process(_: Any, record: Any, proxy: Any) -> None:
    # What a fork brought along is the parent's, who goes on using it.
    if record.info["pid"] != os.getpid():
        record.dbapi_connection = proxy.dbapi_connection = None
        raise DisconnectionError("the connection belongs to another process")
