"""Run by Alembic, on the connection that it was handed."""

from __future__ import annotations

from alembic import context

from cyme_supd.store.models import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    # SQLite cannot alter most things: a table is made anew and copied.
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
