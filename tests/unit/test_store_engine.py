"""The database's file, its settings, and what its errors become."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import event

from cyme_supd.domain.spec import App, Instance
from cyme_supd.errors import Invalid, Unavailable
from cyme_supd.store.engine import connected, open_engine, sqlite_url
from cyme_supd.store.migrations import migrate
from cyme_supd.store.repository import SqlStore

AT = datetime(2011, 8, 15, tzinfo=UTC)
ODD = ["a b", "50%", "%20", "a?b=c", "a#b", "[x]", "ü", "file:x", "a'b\"c;d"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "branch.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlStore]:
    made = SqlStore(sqlite_url(path), "redis://127.0.0.1/0", busy_timeout_s=0.05)
    migrate(made.engine)
    yield made
    made.close()


def app_names(store: SqlStore) -> list[str]:
    with store.reading() as view:
        return view.app_names()


def add_app(store: SqlStore, name: str = "foo", **given: str) -> None:
    with store.writing() as transaction:
        transaction.add_app(App(name, AT, **given))  # type: ignore[arg-type]


@pytest.mark.parametrize("folder", ODD)
def test_paths_with_odd_characters_in_them(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    path = tmp_path / folder / "x%?#.db"
    store = SqlStore(sqlite_url(path), "redis://127.0.0.1/0")
    migrate(store.engine)
    add_app(store)
    store.version()
    assert app_names(store) == ["foo"]
    store.close()
    assert os.listdir(tmp_path / folder) == ["x%?#.db"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite://",
        "sqlite:///",
        "sqlite:///relative.db",
        "sqlite:///:memory:",
        "sqlite:////x.db?mode=memory",
        "sqlite:////x%00.db",
        "oracle://u:secret@h/db",
        "postgresql://u:secret@h",
    ],
)
def test_urls_it_cannot_use(url: str) -> None:
    with pytest.raises(Invalid) as raised:
        open_engine(url)
    assert "secret" not in str(raised.value)


def test_nobody_else_may_read_the_files(path: Path) -> None:
    before = os.umask(0)
    try:
        store = SqlStore(sqlite_url(path), "redis://127.0.0.1/0")
        migrate(store.engine)
        add_app(store)
    finally:
        os.umask(before)
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    store.close()
    assert files == {"branch.db": 0o600, "branch.db-wal": 0o600, "branch.db-shm": 0o600}


def test_settings_of_every_connection(store: SqlStore) -> None:
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 50}
    with connected(store.engine) as one, connected(store.engine) as other:
        for connection in (one, other):
            for setting, value in wanted.items():
                assert connection.exec_driver_sql(f"PRAGMA {setting}").scalar() == value


def test_the_busy_timeout_is_five_seconds_unless_said(path: Path) -> None:
    engine = open_engine(sqlite_url(path))
    migrate(engine)
    with connected(engine) as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 5000
    engine.dispose()


def test_nothing_is_connected_before_the_first_use(path: Path) -> None:
    SqlStore(sqlite_url(path), "redis://127.0.0.1/0").close()
    assert not path.exists()


def test_who_only_uses_the_store_does_not_carry_alembic() -> None:
    code = "import sys, cyme_supd.store.repository, cyme_supd.store.schema as s; " + (
        "sys.exit('alembic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_file_that_is_not_there_is_not_an_empty_fleet(path: Path) -> None:
    store = SqlStore(sqlite_url(path), "redis://127.0.0.1/0")
    for use in (app_names, add_app, SqlStore.version):
        with pytest.raises(Unavailable, match="cannot be opened"):
            use(store)
    assert not path.exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    engine = open_engine(sqlite_url(tmp_path / "none" / "branch.db"))
    with pytest.raises(Unavailable, match="cannot be made: No such file"):
        migrate(engine)


def test_a_file_without_a_schema_is_not_an_empty_fleet(path: Path) -> None:
    sqlite3.connect(path).close()
    path.touch()
    store = SqlStore(sqlite_url(path), "redis://127.0.0.1/0")
    with pytest.raises(Unavailable, match="no such table"):
        app_names(store)
    store.close()


def test_a_file_of_something_else(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to have been one" * 100)
    store = SqlStore(sqlite_url(path), "redis://127.0.0.1/0")
    for use in (app_names, SqlStore.version):
        with pytest.raises(Unavailable, match="not one of SQLite"):
            use(store)


def test_a_full_disk(store: SqlStore) -> None:
    add_app(store)
    store.engine.dispose()
    event.listen(store.engine, "connect", _leave_no_room)
    with pytest.raises(Unavailable, match="full"):
        add_app(store, "bar", command="x" * 1_000_000)
    assert app_names(store) == ["foo"]
    event.remove(store.engine, "connect", _leave_no_room)
    store.engine.dispose()
    add_app(store, "bar", command="x" * 1_000_000)
    assert app_names(store) == ["bar", "foo"]


def _leave_no_room(connection: sqlite3.Connection, record: object) -> None:
    connection.execute("PRAGMA max_page_count = 1")


def test_a_writer_inside_a_writer_gives_up(store: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.add_app(App("foo", AT))
        with pytest.raises(Unavailable, match="busy"):
            add_app(store, "bar")
    assert app_names(store) == ["foo"]


def test_too_many_at_once_give_up(path: Path) -> None:
    engine = open_engine(sqlite_url(path), busy_timeout_s=0.01)
    migrate(engine)

    def take_all() -> None:
        with ExitStack() as taken:
            while True:
                taken.enter_context(connected(engine))

    with pytest.raises(Unavailable, match="got free"):
        take_all()
    with connected(engine) as connection:
        assert connection.exec_driver_sql("SELECT name FROM app").all() == []
    engine.dispose()


@pytest.mark.parametrize("name", ["lone \ud800 surrogate", "secret \udfff"])
def test_what_is_not_text(store: SqlStore, name: str) -> None:
    for use in (add_app, _look_up):
        with pytest.raises(Invalid) as raised:
            use(store, name)
        assert "secret" not in str(raised.value)


def _look_up(store: SqlStore, name: str) -> None:
    with store.reading() as view:
        view.app(name)


def test_a_number_too_large(store: SqlStore) -> None:
    add_app(store)
    with store.writing() as transaction, pytest.raises(Invalid):
        transaction.add_instance(Instance("w1", "foo", "b1", AT, stop_timeout_s=10**30))


def test_secrets_are_not_in_errors(store: SqlStore) -> None:
    odd = App("foo", AT, environment={"A": "secret"}, extra_config={"x": object()}, user="secret")
    with pytest.raises(Exception, match="object") as raised, store.writing() as transaction:
        transaction.add_app(odd)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (sqlite3.SQLITE_BUSY, "locked"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "locked"),
        (sqlite3.SQLITE_LOCKED, "locked"),
        (sqlite3.SQLITE_FULL, "full"),
        (sqlite3.SQLITE_IOERR, "does not work"),
        (sqlite3.SQLITE_IOERR_FSYNC, "does not work"),
        (sqlite3.SQLITE_READONLY, "read-only"),
        (sqlite3.SQLITE_CANTOPEN, "cannot be opened"),
        (sqlite3.SQLITE_CORRUPT, "damaged"),
        (sqlite3.SQLITE_NOTADB, "not one of SQLite"),
        (sqlite3.SQLITE_NOMEM, "cannot be used"),
        (sqlite3.SQLITE_PROTOCOL, "cannot be used"),
    ],
)
def test_a_database_in_trouble_is_worth_another_try(
    store: SqlStore, code: int, message: str
) -> None:
    error = sqlite3.OperationalError("its own words")
    error.sqlite_errorcode = code

    @event.listens_for(store.engine, "before_cursor_execute")
    def fail(*_: object) -> None:
        raise error

    with pytest.raises(Unavailable, match=message) as raised:
        app_names(store)
    assert raised.value.retryable
    assert "its own words" in str(raised.value)


def test_a_broker_nobody_uses_is_forgotten(store: SqlStore, path: Path) -> None:
    url = "amqp://u:secret@h:5672//"
    add_app(store, "foo", broker=url)
    with store.writing() as transaction:
        transaction.add_instance(Instance("w1", "foo", "b1", AT, broker=url))
        transaction.save_app(App("foo", AT, broker="amqp://other:5672//"))
    assert _brokers(path) == ["amqp://other:5672//", url]
    with store.writing() as transaction:
        transaction.save_instance(Instance("w1", "foo", "b1", AT, broker=None))
    assert _brokers(path) == ["amqp://other:5672//"]
    with store.writing() as transaction:
        transaction.remove_instance("w1")
        transaction.remove_app("foo")
    assert _brokers(path) == []


def _brokers(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return sorted(url for (url,) in connection.execute("SELECT url FROM broker"))
    finally:
        connection.close()
