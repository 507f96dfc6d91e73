"""Draft a migration: see the package."""

from __future__ import annotations

import sys

from alembic import command

from cyme_supd.store.engine import connected, open_engine, sqlite_url
from cyme_supd.store.migrations import alembic_config, migrate
from cyme_supd.store.schema import REVISIONS


def main(path: str, message: str) -> None:
    engine = open_engine(sqlite_url(path))
    migrate(engine)
    with connected(engine) as connection:
        command.revision(
            alembic_config(connection),
            message,
            autogenerate=True,
            rev_id=f"{int(REVISIONS[-1]) + 1:04}",
        )
    engine.dispose()


if __name__ == "__main__":
    main(*sys.argv[1:])
