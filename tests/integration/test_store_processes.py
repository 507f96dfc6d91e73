"""One SQLite file, used by several threads and processes, in health and not."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import event

from cyme_supd.domain.spec import App, Instance, Queue
from cyme_supd.domain.status import Status
from cyme_supd.errors import Unavailable
from cyme_supd.store.engine import sqlite_url
from cyme_supd.store.migrations import check_schema, migrate
from cyme_supd.store.repository import SqlStore

AT = datetime(2011, 8, 15, tzinfo=UTC)
DEFAULT = "redis://127.0.0.1/0"
NOBODY = 65534

COUNT_UP = """
import sys
from dataclasses import replace
from cyme_supd.store.repository import SqlStore

store = SqlStore(sys.argv[1], "redis://127.0.0.1/0", busy_timeout_s=60)
for _ in range(int(sys.argv[2])):
    with store.writing() as transaction:
        known = transaction.instance("w1")
        transaction.save_instance(replace(known, restarts=known.restarts + 1))
store.close()
"""
NEVER_END = """
import sys
from datetime import datetime, UTC
from cyme_supd.domain.spec import App
from cyme_supd.store.repository import SqlStore

store = SqlStore(sys.argv[1], "redis://127.0.0.1/0")
with store.writing() as transaction:
    transaction.add_app(App("half", datetime.now(UTC)))
    print("written", flush=True)
    sys.stdin.read()
"""
MIGRATE = """
import sys
from cyme_supd.store.engine import open_engine
from cyme_supd.store.migrations import migrate

print("ready", flush=True)
sys.stdin.readline()
engine = open_engine(sys.argv[1], busy_timeout_s=60)
migrate(engine)
engine.dispose()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "branch.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlStore]:
    made = open_store(path)
    migrate(made.engine)
    with made.writing() as transaction:
        transaction.add_app(App("foo", AT))
        transaction.add_instance(Instance("w1", "foo", "b1", AT))
    yield made
    made.close()


def open_store(path: Path, busy_timeout_s: float = 60) -> SqlStore:
    return SqlStore(sqlite_url(path), DEFAULT, busy_timeout_s)


def start(code: str, path: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, sqlite_url(path), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def end(*processes: subprocess.Popen[str]) -> list[int]:
    for process in processes:
        process.communicate(timeout=60)
    return [process.returncode for process in processes]


@contextmanager
def locked(path: Path, mode: str) -> Iterator[None]:
    """Held by somebody else, as by a backup or a person at a shell."""
    connection = sqlite3.connect(path, isolation_level=None)
    if mode == "EXCLUSIVE":
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute(f"BEGIN {mode}")
    connection.execute("UPDATE instance SET restarts = 99")
    yield
    connection.execute("ROLLBACK")
    connection.close()


def restarts(store: SqlStore) -> int:
    with store.reading() as view:
        return view.instance("w1").restarts


def count_up(store: SqlStore, times: int) -> None:
    for _ in range(times):
        with store.writing() as transaction:
            known = transaction.instance("w1")
            transaction.save_instance(replace(known, restarts=known.restarts + 1))


def test_processes_and_threads_lose_no_write(store: SqlStore, path: Path) -> None:
    processes = [start(COUNT_UP, path, "50") for _ in range(3)]
    threads = [threading.Thread(target=count_up, args=(store, 25)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert end(*processes) == [0, 0, 0]
    assert restarts(store) == 3 * 50 + 2 * 25
    with store.reading() as view:
        assert view.instance("w1").generation == 1 + restarts(store)


def test_readers_see_whole_moments_while_others_write(store: SqlStore, path: Path) -> None:
    process = start(COUNT_UP, path, "100")
    while process.poll() is None:
        with store.reading() as view:
            first, again = view.instance("w1"), view.workers("b1")[0].instance
        assert first == again
        assert first.generation == first.restarts + 1
    assert end(process) == [0]
    assert restarts(store) == 100


def test_the_version_tells_of_another_process(store: SqlStore, path: Path) -> None:
    seen = store.version()
    assert store.version() == seen
    assert end(start(COUNT_UP, path, "1")) == [0]
    assert store.version() > seen


def test_the_version_is_one_for_all_threads(store: SqlStore, path: Path) -> None:
    other, seen = open_store(path), []

    def look() -> None:
        seen.append(store.version())

    def look_elsewhere() -> None:
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()

    look()
    look_elsewhere()
    count_up(other, 1)
    look_elsewhere()
    look()
    count_up(store, 1)
    look()
    look_elsewhere()
    assert seen[0] == seen[1] < seen[2] == seen[3] < seen[4] == seen[5]
    other.close()


def test_the_version_grows_over_a_failure(store: SqlStore, path: Path) -> None:
    watched = open_store(path, busy_timeout_s=0.05)
    seen = watched.version()
    aside = path.with_suffix(".aside")
    watched.close()
    path.rename(aside)
    with pytest.raises(Unavailable):
        watched.version()
    aside.rename(path)
    # Nobody can say what was missed meanwhile: it counts as a change.
    assert watched.version() > seen
    watched.close()


def test_a_writer_that_is_killed_leaves_nothing(store: SqlStore, path: Path) -> None:
    process = start(NEVER_END, path)
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    with pytest.raises(Unavailable, match="locked"):
        count_up(open_store(path, busy_timeout_s=0.05), 1)
    process.kill()
    end(process)
    count_up(store, 1)
    with store.reading() as view:
        assert view.app_names() == ["foo"]


def test_several_that_migrate_at_once(path: Path) -> None:
    processes = [start(MIGRATE, path) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert end(*processes) == [0, 0, 0, 0]
    store = open_store(path)
    check_schema(store.engine)
    store.close()


def test_somebody_elses_write_lock_refuses_writes_alone(store: SqlStore, path: Path) -> None:
    hasty = open_store(path, busy_timeout_s=0.05)
    with locked(path, "IMMEDIATE"):
        with pytest.raises(Unavailable, match="locked"):
            count_up(hasty, 1)
        assert restarts(hasty) == 0
        with hasty.reading() as view:
            assert [each.name for each in view.workers("b1")] == ["w1"]
    count_up(hasty, 1)
    assert restarts(hasty) == 1
    hasty.close()


def test_a_locked_database_is_not_an_empty_fleet(store: SqlStore, path: Path) -> None:
    # An exclusive lock is to be had only while nobody is connected.
    store.close()
    hasty = open_store(path, busy_timeout_s=0.05)
    with locked(path, "EXCLUSIVE"):
        for use in (restarts, lambda it: count_up(it, 1), SqlStore.version):
            with pytest.raises(Unavailable, match="locked"):
                use(hasty)
    assert restarts(hasty) == 0
    count_up(hasty, 1)
    hasty.close()


@pytest.fixture
def owned() -> Iterator[Path]:
    """A store's folder whose owner, unlike root, file modes apply to."""
    folder = Path(tempfile.mkdtemp())
    made = open_store(folder / "branch.db")
    migrate(made.engine)
    with made.writing() as transaction:
        transaction.add_app(App("foo", AT))
        transaction.add_instance(Instance("w1", "foo", "b1", AT))
    # Everything is imported now: who is not root may not read the modules.
    count_up(made, 1)
    assert restarts(made) == 1
    made.close()
    if os.geteuid() == 0:
        for each in (folder, *folder.iterdir()):
            os.chown(each, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def without_root() -> Iterator[None]:
    was = os.geteuid()
    if was == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(was)


@pytest.mark.parametrize("folder_mode", [0o500, 0o700], ids=["folder too", "file alone"])
def test_a_database_that_was_read_only(owned: Path, folder_mode: int) -> None:
    store = open_store(owned / "branch.db")
    with without_root():
        (owned / "branch.db").chmod(0o400)
        owned.chmod(folder_mode)
        with pytest.raises(Unavailable):
            count_up(store, 1)
        owned.chmod(0o700)
        for file in owned.iterdir():
            file.chmod(0o600)
        # No connection of then is in the way now.
        count_up(store, 1)
        assert restarts(store) == 2
        store.close()


def test_a_read_only_database_can_be_read(owned: Path) -> None:
    store = open_store(owned / "branch.db")
    with without_root():
        (owned / "branch.db").chmod(0o400)
        assert restarts(store) == 1
        with pytest.raises(Unavailable, match="read-only"):
            count_up(store, 1)
        assert restarts(store) == 1
        store.close()


def statements(store: SqlStore) -> list[str]:
    sent: list[str] = []

    @event.listens_for(store.engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    return sent


def test_a_pass_over_a_fleet_is_a_few_queries(store: SqlStore) -> None:
    fleet = [f"w{number:04}" for number in range(2, 2001)]
    with store.writing() as transaction:
        for name in ("a", "b"):
            transaction.add_queue(Queue("foo", name, name, "direct", name, {}, AT))
        for name in fleet:
            transaction.add_instance(Instance(name, "foo", "b1", AT, queues=("b", "a")))
    sent = statements(store)
    with store.reading() as view:
        assert len(view.workers("b1")) == len(view.instances("foo")) == 2000
        assert len(view.pending("b1")) == 2000
        assert view.statuses("b1") == {}
    assert len(sent) <= 12
    sent.clear()
    with store.writing() as transaction:
        transaction.save_statuses(Status(name, 1) for name in fleet)
        assert len(transaction.touch_instances("foo")) == 2000
    assert len(sent) <= 12
    with store.reading() as view:
        assert len(view.statuses("b1")) == 1999
