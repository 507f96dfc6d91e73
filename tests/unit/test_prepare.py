"""What a person is told whose branch finds another store than it had."""

from __future__ import annotations

from cyme_supd.branch.prepare import _moved
from cyme_supd.config import Config


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
