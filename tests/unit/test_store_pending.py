"""Who is ahead of their status is found without looking at everybody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import event

from cyme_supd.store.engine import connected, create_database, sqlite_url
from cyme_supd.store.migrations import alembic_config, migrate
from cyme_supd.store.repository import SqlStore
from tests.contract.store.values import DEFAULT, pending

COLUMNS = (
    "name, app, branch, created_at, is_enabled, is_deleting, is_forced, max_concurrency,"
    " min_concurrency, arguments, extra_config, generation, restarts"
)
APP = "name, created_at, arguments, extra_config, environment, is_deleting"
AT = "2011-08-15 22:06:43"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    made = SqlStore(sqlite_url(tmp_path / "branch.db"), DEFAULT)
    yield made
    made.close()


def test_by_an_index(store: SqlStore) -> None:
    migrate(store.engine)
    asked: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    pending(store)
    (query,) = (text for text in asked if "is_pending" in text)
    with connected(store.engine) as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", ("b1",)).all()
    plan = " ".join(str(row[3]) for row in rows)
    assert "ix_instance_branch_is_pending (branch=? AND is_pending=?)" in plan


def test_after_a_migration(store: SqlStore) -> None:
    create_database(store.engine)
    with store.engine.execution_options(cyme_is_writing=True).begin() as connection:
        command.upgrade(alembic_config(connection), "0003")
        connection.exec_driver_sql(
            f"INSERT INTO app ({APP}) VALUES ('foo', '{AT}', '[]', '{{}}', '{{}}', 0)"
        )
        for name, generation in (("w1", 2), ("w2", 2), ("w3", 1)):
            connection.exec_driver_sql(
                f"INSERT INTO instance ({COLUMNS}) VALUES ('{name}', 'foo', 'b1', '{AT}', 1, 0, 0,"
                f" 1, 1, '[]', '{{}}', {generation}, 0)"
            )
        for name, generation in (("w1", 1), ("w2", 2)):
            connection.exec_driver_sql(
                "INSERT INTO status (name, generation, conditions)"
                f" VALUES ('{name}', {generation}, '[]')"
            )
    migrate(store.engine)
    assert pending(store) == ["w1", "w3"]
