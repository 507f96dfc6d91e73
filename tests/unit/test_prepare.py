"""What a person is told whose branch finds another store, or another key, than it had."""

from __future__ import annotations

from pathlib import Path

from cyme_supd.branch.prepare import _migrate, _moved, _share_key
from cyme_supd.config import Config
from cyme_supd.domain.orders import RUNNER_KEY
from cyme_supd.seal import make_key, read_key
from cyme_supd.store.engine import sqlite_url
from cyme_supd.store.repository import SqlStore


def config(database: str = "") -> Config:
    return Config("/r", "b1", "redis://127.0.0.1/0", False, "p", database=database)


def test_the_same_store() -> None:
    one, other = config("mysql://u:a@h/db"), config("mysql://u:b@h/db")
    assert _moved(None, one) == _moved(config(), config()) == _moved(one, other) == []


def test_another_store() -> None:
    shared = config("mysql://u:s3cret@h/db")
    assert _moved(shared, config()) == [
        "the store was mysql://u:********@h:3306/db and is the file in its root: "
        "what was stored there is not here"
    ]
    assert "was the file in its root and is mysql://u:********@h:3306/db" in str(
        _moved(config(), shared)
    )


def test_the_first_branch_gives_the_key_and_the_others_take_it(tmp_path: Path) -> None:
    config = Config(str(tmp_path), "b1", "redis://127.0.0.1/0", False, "p")
    path = tmp_path / "runner.key"
    _migrate(config)

    assert _share_key(config) == []
    first = read_key(path)
    assert _share_key(config) == []

    # As on the root of another branch, which had one of its own.
    path.unlink()
    assert make_key(path) != first
    (warning,) = _share_key(config)
    assert str(path) in warning
    assert read_key(path) == first
    store = SqlStore(sqlite_url(tmp_path / "branch.db"), "")
    with store.reading() as view:
        assert view.shared_key(RUNNER_KEY) == first.hex()
    store.close()
    assert sorted(each.name for each in tmp_path.iterdir() if "key" in each.name) == ["runner.key"]
