"""The stores, each of which every test here faces."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cyme_supd.domain.ports import Store
from cyme_supd.store.engine import open_engine, sqlite_url
from cyme_supd.store.migrations import migrate
from cyme_supd.store.repository import SqlStore
from cyme_supd.testing.store import MemoryStore
from tests.contract.store.values import DEFAULT
from tests.databases import MARIADB, POSTGRESQL, empty

Made = Callable[[str], SqlStore]


@pytest.fixture(scope="session")
def on_server(request: pytest.FixtureRequest) -> Iterator[Made]:
    """The store on each server, made by the first test that wants it."""
    made: dict[str, SqlStore] = {}

    def make(kind: str) -> SqlStore:
        if kind not in made:
            made[kind] = SqlStore(request.getfixturevalue(f"{kind}_url"), DEFAULT, branch="b1")
        return made[kind]

    yield make
    for store in made.values():
        store.close()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without rows, to be copied: that takes less than to migrate one."""
    path = tmp_path_factory.mktemp("migrated") / "branch.db"
    engine = open_engine(sqlite_url(path))
    migrate(engine)
    engine.dispose()
    return path


@pytest.fixture(params=["memory", "sqlite", POSTGRESQL, MARIADB])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore(DEFAULT, "b1")
    elif request.param == "sqlite":
        path = tmp_path / "branch.db"
        shutil.copy(request.getfixturevalue("migrated_file"), path)
        on_disk = SqlStore(sqlite_url(path), DEFAULT, branch="b1")
        yield on_disk
        on_disk.close()
    else:
        shared = request.getfixturevalue("on_server")(request.param)
        yield shared
        empty(shared.engine)
