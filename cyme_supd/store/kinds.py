"""What one kind of database has to know of itself, and what the kinds share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Engine, Table, insert

from cyme_supd.errors import CymeError

BUSY_TIMEOUT_S = 5.0
#: Execution option of a connection whose transactions mean to write.
IS_WRITING = "cyme_is_writing"
#: And of one that records, where that is something else; the lane it takes, from 0.
LANE = "cyme_lane"
#: So many record at once at most; it matters only that they are not many more branches.
LANES = 16
TRY_AGAIN = "try again"


class Changes(Protocol):
    """Counts what is committed to a database, by whomever."""

    def count(self) -> int:
        """Another number when something was committed since the last call; cheap."""

    def stale(self) -> None:
        """Somebody here has committed: what was seen lately is not enough."""

    def close(self) -> None: ...


class Kind(Protocol):
    """A module for each: ``sqlite``, ``postgresql``, ``mysql``. None keeps anything."""

    #: Whether others than one branch may have it.
    is_shared: bool

    def open(self, url: str, busy_timeout_s: float) -> Engine:
        """An engine whose every wait ends within about *busy_timeout_s*."""

    def create(self, engine: Engine) -> None:
        """Make the database where there is none, if that is ours to do."""

    def begin(self, connection: Connection, is_writing: bool) -> None:
        """Begin a look; or, alone among all who write, a change."""

    def pin(self, connection: Connection) -> None:
        """Fix what a look that has begun sees, where that is not done yet."""

    def migrating(self, engine: Engine) -> AbstractContextManager[Connection]:
        """A connection that alone among all may change the schema."""

    def ours(self, exc: BaseException) -> CymeError | None:
        """What an error is to the rest of Cyme; ``None`` for a fault of our own."""

    def outlives_its_cause(self, exc: BaseException) -> bool:
        """Whether the connection may go on failing when what is wrong is over."""

    def changes(self, engine: Engine, busy_timeout_s: float) -> Changes: ...

    def insert(
        self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Put in some hundred rows of texts, numbers and times, all with the same columns."""

    def is_among(self, column: ColumnElement[str], values: Sequence[str]) -> ColumnElement[bool]:
        """Whether a column has one of some hundred *values*."""

    def update(
        self,
        connection: Connection,
        table: Table,
        names: Sequence[str],
        rows: Sequence[Mapping[str, Any]],
    ) -> None:
        """Change the columns *names* of some hundred rows, which are there and locked.

        Each has all of its columns, as :meth:`insert` has them, and an ``id``.
        """

    def now(self, connection: Connection, now: datetime) -> datetime:
        """By the clock of the database, or *now* where it is that of this host."""


class PlainRows:
    """Of kinds whose driver is quick with a placeholder for each value."""

    def insert(
        self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        connection.execute(insert(table), list(rows))

    def is_among(self, column: ColumnElement[str], values: Sequence[str]) -> ColumnElement[bool]:
        return column.in_(values)


def reason(exc: BaseException) -> str:
    """What *exc* says, without the value that it is about, which may be a secret."""
    return exc.reason if isinstance(exc, UnicodeEncodeError) else str(exc).strip()
