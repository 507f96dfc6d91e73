"""The schema of one database for many: made once, whoever comes first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from cyme_supd.domain.spec import App
from cyme_supd.errors import Conflict, Invalid, Unavailable
from cyme_supd.store.engine import connected, kind_of, open_engine
from cyme_supd.store.migrations import check_schema, migrate
from cyme_supd.store.models import metadata
from cyme_supd.store.repository import SqlStore
from tests.databases import MARIADB, POSTGRESQL, Server

AT = datetime(2011, 8, 15, tzinfo=UTC)


@pytest.fixture(params=[POSTGRESQL, MARIADB])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def url(server: Server, request: pytest.FixtureRequest) -> str:
    """Of a database with the schema."""
    url: str = request.getfixturevalue(f"{server.kind}_url")
    return url


@pytest.fixture
def bare_url(server: Server) -> Iterator[str]:
    """Of one without a table."""
    with server.database() as url:
        yield url


@contextmanager
def opened(url: str) -> Iterator[SqlStore]:
    store = SqlStore(url, "redis://127.0.0.1/0")
    try:
        yield store
    finally:
        store.close()


def statement(store: SqlStore, text: str) -> None:
    """As from somebody else, who takes no turns."""
    with store.engine.execution_options(cyme_is_migrating=True).begin() as connection:
        connection.exec_driver_sql(text)


def app_names(store: SqlStore) -> list[str]:
    with store.reading() as view:
        return view.app_names()


def add_app(store: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.add_app(App("foo", AT))


def test_alembic_finds_nothing_to_change(url: str) -> None:
    with opened(url) as store, connected(store.engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_a_second_time_changes_nothing(url: str) -> None:
    with opened(url) as store:
        check_schema(store.engine)
        migrate(store.engine)
        assert app_names(store) == []


def test_several_at_once(bare_url: str) -> None:
    failures: list[BaseException] = []

    def start() -> None:
        engine = open_engine(bare_url, 60)
        try:
            migrate(engine)
            check_schema(engine)
        except BaseException as exc:
            failures.append(exc)
        engine.dispose()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_who_waits_for_another_gives_up(bare_url: str) -> None:
    other, engine = open_engine(bare_url), open_engine(bare_url, 1.0)
    with kind_of(other).migrating(other), pytest.raises(Unavailable, match=r"locked|another"):
        migrate(engine)
    migrate(engine)
    for each in (other, engine):
        each.dispose()


def test_other_commands_refuse_an_old_one(bare_url: str) -> None:
    engine = open_engine(bare_url)
    with pytest.raises(Unavailable, match="start cyme-branch"):
        check_schema(engine)
    engine.dispose()
    with opened(bare_url) as store:
        for use in (app_names, add_app, SqlStore.version):
            with pytest.raises(Unavailable, match="another schema"):
                use(store)


def test_a_newer_one_is_refused(bare_url: str) -> None:
    with opened(bare_url) as store:
        migrate(store.engine)
        statement(store, "UPDATE alembic_version SET version_num = '9999'")
        for use in (check_schema, migrate):
            with pytest.raises(Invalid, match="9999 is of a newer version"):
                use(store.engine)


def test_somebody_elses_tables_are_left_alone(bare_url: str) -> None:
    with opened(bare_url) as store:
        statement(store, "CREATE TABLE app (mine INTEGER)")
        with pytest.raises(Conflict, match="not Cyme's: app"):
            migrate(store.engine)


def test_one_that_was_cut_short(server: Server, bare_url: str) -> None:
    with opened(bare_url) as store:
        # The table is in the way of the last migration.
        statement(store, "CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
        statement(store, "CREATE TABLE turn (id INTEGER PRIMARY KEY, number BIGINT NOT NULL)")
        if server.kind == POSTGRESQL:
            with pytest.raises(Unavailable, match="already exists"):
                migrate(store.engine)
            statement(store, "DROP TABLE turn")
        migrate(store.engine)
        check_schema(store.engine)
        assert store.version() == 0


def test_one_that_was_cut_short_anywhere(mariadb: Server) -> None:
    with mariadb.database() as url, opened(url) as store:
        migrate(store.engine)
        # As if the first were all that had been noted.
        statement(store, "UPDATE alembic_version SET version_num = '0001'")
        migrate(store.engine)
        check_schema(store.engine)
        add_app(store)
