"""Migrations of the schema, by Alembic, without a file of settings.

A new one is drafted from the difference between the models and a database
at the last revision, then read, finished by hand, and added to
:data:`cyme_supd.store.schema.REVISIONS`::

    python -m cyme_supd.store.migrations PATH-OF-A-DATABASE "what changes"
"""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine

from cyme_supd.store.engine import IS_WRITING, connected, create_file
from cyme_supd.store.schema import REVISIONS, check_schema, refuse_newer, revision

__all__ = ["alembic_config", "check_schema", "migrate"]


def migrate(engine: Engine) -> None:
    """Bring the database to this version's schema, made where there is none.

    All of it or none, in one transaction; of several at once, the others
    wait. Raises ``Invalid`` where the schema is newer.
    """
    create_file(engine)
    writer = engine.execution_options(**{IS_WRITING: True})
    with connected(writer) as connection, connection.begin():
        found = revision(connection)
        refuse_newer(found)
        if found != REVISIONS[-1]:
            command.upgrade(alembic_config(connection), "head")


def alembic_config(connection: Connection) -> Config:
    """Settings for Alembic's commands, to work on *connection*."""
    config = Config()
    # As a resource of the package: a path's percent signs would be expanded.
    config.set_main_option("script_location", "cyme_supd.store:migrations")
    config.attributes["connection"] = connection
    return config
