"""The schema: made by migrations, equal to the models, refused when it is another."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from cyme_supd.errors import Invalid, Unavailable
from cyme_supd.store.engine import connected, create_file, open_engine, sqlite_url
from cyme_supd.store.migrations import alembic_config, check_schema, migrate
from cyme_supd.store.models import metadata
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
    create_file(by_models)
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
    create_file(engine)
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
    create_file(engine)
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
    execute(engine, "CREATE TABLE branch (mine INTEGER)")
    with pytest.raises(Unavailable, match="already exists"):
        migrate(engine)
    assert list(schema(engine)) == ["branch"]
    execute(engine, "DROP TABLE branch")
    migrate(engine)
    check_schema(engine)
