"""The schema: made by migrations, equal to the models, refused when it is another."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from cyme_supd.domain.catalogue import Version
from cyme_supd.errors import Conflict, Invalid, Unavailable
from cyme_supd.store.engine import connected, create_database, open_engine, sqlite_url
from cyme_supd.store.migrations import alembic_config, check_schema, migrate
from cyme_supd.store.models import metadata
from cyme_supd.store.repository import SqlStore
from cyme_supd.store.schema import REVISIONS


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_engine(sqlite_url(tmp_path / "branch.db"))
    yield made
    made.dispose()


def schema(engine: Engine) -> dict[str, list[str]]:
    """The words of every statement that made the database, whatever their order.

    A column that came later stands behind the constraints, on their line.
    """
    with connected(engine) as connection:
        rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql <> ''")
        return {name: sorted(re.sub(r"[,()]", " ", sql).split()) for name, sql in rows}


def execute(engine: Engine, *statements: str) -> None:
    connection = sqlite3.connect(str(engine.url.database))
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_makes_what_the_models_describe(engine: Engine, tmp_path: Path) -> None:
    migrate(engine)
    by_models = open_engine(sqlite_url(tmp_path / "models.db"))
    create_database(by_models)
    metadata.create_all(by_models)
    made = schema(engine)
    assert made.pop("alembic_version")
    assert made == schema(by_models)
    by_models.dispose()


def test_alembic_finds_nothing_to_change(engine: Engine) -> None:
    migrate(engine)
    with connected(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_every_revision_is_known_in_its_order(engine: Engine) -> None:
    create_database(engine)
    with connected(engine) as connection:
        script = ScriptDirectory.from_config(alembic_config(connection))
    assert tuple(each.revision for each in script.walk_revisions())[::-1] == REVISIONS


def test_a_second_time_changes_nothing(engine: Engine) -> None:
    migrate(engine)
    before = schema(engine)
    execute(engine, "INSERT INTO broker (digest, url) VALUES ('d', 'u')")
    migrate(engine)
    check_schema(engine)
    assert schema(engine) == before
    with connected(engine) as connection:
        assert connection.exec_driver_sql("SELECT url FROM broker").scalar() == "u"


def test_one_that_is_not_there_yet(engine: Engine) -> None:
    create_database(engine)
    with pytest.raises(Unavailable, match="start cyme-branch"):
        check_schema(engine)
    migrate(engine)
    check_schema(engine)


def test_no_file(engine: Engine) -> None:
    with pytest.raises(Unavailable, match="cannot be opened"):
        check_schema(engine)


def test_a_newer_one_is_refused_and_left_alone(engine: Engine) -> None:
    migrate(engine)
    execute(engine, "UPDATE alembic_version SET version_num = '9999'")
    before = schema(engine)
    for use in (check_schema, migrate):
        with pytest.raises(Invalid, match="9999 is of a newer version"):
            use(engine)
    assert schema(engine) == before


def test_all_of_it_or_none(engine: Engine) -> None:
    # The last table of the migration is there already: it fails at its end.
    version = "CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)"
    execute(engine, version, "CREATE TABLE branch (mine INTEGER)")
    with pytest.raises(Unavailable, match="already exists"):
        migrate(engine)
    assert list(schema(engine)) == ["alembic_version", "branch"]
    execute(engine, "DROP TABLE branch")
    migrate(engine)
    check_schema(engine)


APP = "name, created_at, broker_id, arguments, extra_config, environment, pool, is_deleting"
QUEUE = "app, name, exchange, exchange_type, routing_key, options, created_at"


def as_before_the_catalogue(path: Path, pool: str) -> SqlStore:
    """A database of the schema 0006 with an app and a queue, brought to this one."""
    store = SqlStore(sqlite_url(path), "redis://127.0.0.1/0", branch="b1")
    create_database(store.engine)
    with store.engine.execution_options(cyme_is_writing=True).begin() as connection:
        command.upgrade(alembic_config(connection), "0006")
        for statement in (
            "INSERT INTO broker (id, digest, url) VALUES (3, 'd', 'amqp://guest:guest@a:5672//')",
            f"INSERT INTO app ({APP}) VALUES ('foo', '2011-08-15 22:06:43', 3, '[\"-O\"]', '{{}}',"
            f" '{{\"KEY\": \"value\"}}', '{pool}', 0)",
            f"INSERT INTO queue ({QUEUE}) VALUES ('foo', 'tasks', 'x', 'topic', 'k.#', '{{}}',"
            " '2011-08-15 22:06:43')",
        ):
            connection.exec_driver_sql(statement)
    migrate(store.engine)
    return store


def index(store: SqlStore) -> dict[str, Version]:
    with store.reading() as view:
        return view.catalogue_index()


def test_what_is_older_than_the_catalogue_is_in_it(tmp_path: Path) -> None:
    stores = [
        as_before_the_catalogue(tmp_path / f"{number}.db", pool)
        for number, pool in enumerate(("solo", "solo", "threads"))
    ]
    found = [index(store) for store in stores]
    assert {version.stamp for version in found[0].values()} == {(1, "")}
    assert found[0] == found[1]
    # Two hosts that become a fleet have to agree on one of the two.
    assert found[0]["app/foo"] != found[2]["app/foo"]
    assert found[0]["queue/foo/tasks"] == found[2]["queue/foo/tasks"]
    with stores[0].writing() as tx:
        assert [each.key for each in tx.entries(list(found[0]))] == list(found[0])
        assert tx.app("foo").broker == "amqp://guest:guest@a:5672//"
        assert tx.next_version() == Version(2, "b1")
        tx.remove_app("foo")
    assert {version.stamp for version in index(stores[0]).values()} == {(2, "b1")}
    for store in stores:
        store.close()


def test_somebody_elses_tables_are_left_alone(engine: Engine) -> None:
    execute(engine, "CREATE TABLE app (mine INTEGER)")
    with pytest.raises(Conflict, match="not Cyme's: app"):
        migrate(engine)
    assert list(schema(engine)) == ["app"]
