"""What ``cyme-injector`` works with: a database, a broker and the key that is in the database."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cyme_supd.cli import injector
from cyme_supd.cli.standalone import Standalone
from cyme_supd.config import Config
from cyme_supd.domain.orders import RUNNER_KEY
from cyme_supd.seal import write_key
from cyme_supd.store.engine import open_engine, sqlite_url
from cyme_supd.store.migrations import migrate
from cyme_supd.store.repository import SqlStore

BROKER = "amqp://guest:s3cret@127.0.0.1:1//"
KEY, OTHER = b"k" * 32, b"o" * 32


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """That of a branch, with its database."""
    Config(str(tmp_path), "b1", BROKER, False, "p").save()
    engine = open_engine(sqlite_url(tmp_path / "branch.db"))
    migrate(engine)
    engine.dispose()
    write_key(tmp_path / "other.key", OTHER)
    return tmp_path


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Those of the tests' own process."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Standalone]:
    found: list[Standalone] = []
    monkeypatch.setattr(injector, "inject", found.append)
    return found


def run(*words: object) -> Any:
    return CliRunner().invoke(injector.command, list(map(str, words)))


def shared(root: Path, key: bytes | None = None) -> str | None:
    store = SqlStore(sqlite_url(root / "branch.db"), "")
    with store.writing() as tx:
        if key is not None:
            tx.share_key(RUNNER_KEY, key.hex())
        found = tx.shared_key(RUNNER_KEY)
    store.close()
    return found


def test_what_a_branch_has(root: Path, seen: list[Standalone]) -> None:
    shared(root, KEY)
    assert run("-D", root, "-n", "i1").exit_code == 0
    (what,) = seen
    assert (what.name, what.broker, what.key) == ("i1", BROKER, KEY)
    assert not what.stop.is_set()


def test_another_broker(root: Path, seen: list[Standalone]) -> None:
    shared(root, KEY)
    run("-D", root, "--broker", "redis://127.0.0.1/3")
    assert seen[0].broker == "redis://127.0.0.1/3"


def test_no_key(root: Path, seen: list[Standalone]) -> None:
    result = run("-D", root)
    assert result.exit_code == 4
    assert "start a branch on it, or give its runner.key with --key-file" in result.output
    assert seen == []


def test_a_key_that_is_brought_along(root: Path, seen: list[Standalone]) -> None:
    run("-D", root, "--key-file", root / "other.key")
    assert seen[0].key == OTHER
    assert shared(root) == OTHER.hex()


def test_another_key_than_that_of_the_database(root: Path, seen: list[Standalone]) -> None:
    shared(root, KEY)
    result = run("-D", root, "--key-file", root / "other.key")
    assert result.exit_code == 5
    assert "leave --key-file out" in result.output
    assert seen == []


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ((), "--broker"),
        (("--broker", BROKER), "--database, or the root of one with -D"),
        (("--broker", BROKER, "--database", "oracle://h/d"), "postgresql://"),
        (("--broker", "nonsense", "--database", "postgresql://h/d"), "amqp"),
    ],
)
def test_what_is_missing(tmp_path: Path, words: tuple[str, ...], hint: str) -> None:
    result = run("-D", tmp_path / "none", *words)
    assert result.exit_code == 2
    assert hint in result.output
    assert "s3cret" not in result.output
