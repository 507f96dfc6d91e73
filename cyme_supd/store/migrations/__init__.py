"""Migrations of the schema, by Alembic, without a file of settings.

A new one is drafted from the difference between the models and a database
at the last revision, then read, finished by hand, and added to
:data:`cyme_supd.store.schema.REVISIONS`::

    python -m cyme_supd.store.migrations PATH-OF-A-DATABASE "what changes"
"""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, inspect

from cyme_supd.errors import Conflict
from cyme_supd.store.engine import create_database, kind_of
from cyme_supd.store.models import metadata
from cyme_supd.store.schema import ALEMBIC, REVISIONS, check_schema, refuse_newer, revision

__all__ = ["MIGRATION_TIMEOUT_S", "alembic_config", "check_schema", "migrate"]

#: How long another may take to migrate the database that is to be used.
MIGRATION_TIMEOUT_S = 60.0


def migrate(engine: Engine) -> None:
    """Bring the database to this version's schema, made where there is none.

    All of it or none, in one transaction; MariaDB and MySQL have none for this,
    and there it is gone on with the next time. Of several at once, the others
    wait. Raises ``Invalid`` where the schema is newer, ``Conflict`` where there
    are tables of somebody else's.
    """
    create_database(engine)
    with kind_of(engine).migrating(engine) as connection:
        found = revision(connection)
        refuse_newer(found)
        if found is None:
            _refuse_others(connection)
        if found != REVISIONS[-1]:
            command.upgrade(alembic_config(connection), "head")


def _refuse_others(connection: Connection) -> None:
    """Before the first migration has begun no table of ours is there."""
    tables = set(inspect(connection).get_table_names())
    others = sorted(tables & set(metadata.tables))
    if others and ALEMBIC not in tables:
        raise Conflict(
            f"the database has tables already that are not Cyme's: {', '.join(others)}",
            "give it a database of its own",
        )


def alembic_config(connection: Connection) -> Config:
    """Settings for Alembic's commands, to work on *connection*."""
    config = Config()
    # As a resource of the package: a path's percent signs would be expanded.
    config.set_main_option("script_location", "cyme_supd.store:migrations")
    config.attributes["connection"] = connection
    return config
