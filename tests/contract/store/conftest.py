"""The stores, each of which every test here faces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cyme_supd.domain.ports import Store
from cyme_supd.store.engine import sqlite_url
from cyme_supd.store.migrations import migrate
from cyme_supd.store.repository import SqlStore
from cyme_supd.testing.store import MemoryStore
from tests.contract.store.values import DEFAULT


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore(DEFAULT)
        return
    on_disk = SqlStore(sqlite_url(tmp_path / "branch.db"), DEFAULT)
    migrate(on_disk.engine)
    yield on_disk
    on_disk.close()
