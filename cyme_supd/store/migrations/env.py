"""Run by Alembic, on the connection that it was handed."""

from __future__ import annotations

import logging
from typing import Any

from alembic import context
from alembic.ddl.mysql import MySQLImpl

from cyme_supd.domain.database import MYSQL
from cyme_supd.errors import Unavailable
from cyme_supd.store.models import metadata
from cyme_supd.store.mysql import is_there_already

log = logging.getLogger(__name__)


class Resumed(MySQLImpl):
    """Goes on where a migration was cut short: there each statement is committed by itself.

    The version is written last, so what is there already is of the same migration.
    """

    __dialect__ = MYSQL

    def _exec(self, construct: Any, *args: Any, **given: Any) -> Any:
        try:
            return super()._exec(construct, *args, **given)
        except Unavailable as exc:
            if exc.__cause__ is None or not is_there_already(exc.__cause__):
                raise
            log.warning("made by a migration that was cut short: %s", exc)
            return None


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    compare_type=True,
    # SQLite cannot alter most things: a table is made anew and copied.
    render_as_batch=True,
    transactional_ddl=connection.dialect.name != MYSQL,
)
with context.begin_transaction():
    context.run_migrations()
