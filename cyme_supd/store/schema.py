"""Whether a database has the schema that this version works with.

Without Alembic: those who only check need not carry it.
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, String, column, inspect, select, table

from cyme_supd.errors import Invalid, Unavailable
from cyme_supd.store.engine import connected

#: Every revision under migrations/versions, the first one first.
REVISIONS = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0006",
    "0008",
    "0009",
    "0010",
    "0011",
    "0012",
    "0013",
    "0014",
    "0015",
    "0016",
    "0017",
)
COMMAND = "cyme-branch"

#: The table that says so.
ALEMBIC = "alembic_version"
_VERSION = table(ALEMBIC, column("version_num", String))


def check_schema(engine: Engine) -> None:
    """Raise ``Unavailable`` where the schema is older, ``Invalid`` where it is newer."""
    found = _found(engine)
    if found != REVISIONS[-1]:
        raise Unavailable(
            f"the database has the schema {found or 'of none yet'}, not {REVISIONS[-1]}",
            f"start {COMMAND} on it: it migrates the database",
        )


def is_current(engine: Engine) -> bool:
    """Whether there is nothing to migrate; raises ``Invalid`` where the schema is newer."""
    return _found(engine) == REVISIONS[-1]


def _found(engine: Engine) -> str | None:
    with connected(engine) as connection:
        found = revision(connection)
    refuse_newer(found)
    return found


def revision(connection: Connection) -> str | None:
    """The schema's revision; ``None`` for a database that has none."""
    if not inspect(connection).has_table(_VERSION.name):
        return None
    return connection.scalar(select(_VERSION.c.version_num))


def refuse_newer(found: str | None) -> None:
    """Raise ``Invalid`` for a revision that this version has never heard of."""
    if found is not None and found not in REVISIONS:
        raise Invalid(
            f"the database's schema {found} is of a newer version of Cyme",
            f"start the {COMMAND} of that version, or bring back a backup made before it",
        )
