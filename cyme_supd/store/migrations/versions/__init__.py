"""One module a migration, imported by Alembic alone."""
