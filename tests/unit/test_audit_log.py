"""The file of all changes: what is stored is in it, a line each, and nothing else."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cyme_supd.branch.logs import keep_audit
from cyme_supd.domain.audit import AUDIT_LOG, EDIT, INSTANCE, Actor, Event
from cyme_supd.store.engine import sqlite_url
from cyme_supd.store.migrations import migrate
from cyme_supd.store.repository import SqlStore
from tests.contract.store.values import AT

HOSTILE = 'boris"}\n{"actor": "root\u2028\x1b[2J'
EVENT = Event(
    AT, Actor(HOSTILE, "192.0.2.7", "curl/8"), "b1", EDIT, INSTANCE, "foo", "w1", None, {"a": 1}
)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    logger = logging.getLogger(AUDIT_LOG)
    before = (logger.handlers, logger.level, logger.propagate)
    keep_audit(tmp_path / "audit.log")
    yield tmp_path / "audit.log"
    for handler in logger.handlers:
        handler.close()
    logger.handlers, logger.level, logger.propagate = before


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    made = SqlStore(sqlite_url(tmp_path / "cyme.db"), "redis://127.0.0.1/0", branch="b1")
    migrate(made.engine)
    yield made
    made.close()


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("ascii").splitlines()]


def test_what_is_stored_is_there_once(store: SqlStore, file: Path) -> None:
    for change in (store.writing, store.recording):
        with change() as tx:
            tx.save_audit([EVENT])
    first, second = lines(file)
    assert first == second
    assert (first["actor"], first["verb"], first["name"]) == (HOSTILE, EDIT, "w1")
    assert (first["was"], first["now"]) == (None, {"a": 1})
    assert first["at"].endswith("Z")
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_is_not_stored_is_not_there(store: SqlStore, file: Path) -> None:
    def fail() -> None:
        with store.writing() as tx:
            tx.save_audit([EVENT])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert lines(file) == []


def test_a_file_that_was_moved_away_is_made_anew(store: SqlStore, file: Path) -> None:
    with store.writing() as tx:
        tx.save_audit([EVENT])
    file.rename(file.with_suffix(".1"))
    with store.writing() as tx:
        tx.save_audit([replace(EVENT, name="w2")])
    assert [each["name"] for each in lines(file)] == ["w2"]
