"""``cyme -L`` on roots of every kind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import text

from cyme_supd.cli.local import open_client
from cyme_supd.config import Config
from cyme_supd.errors import Forbidden, Invalid, NotFound, Unavailable
from cyme_supd.store.engine import open_engine, sqlite_url
from cyme_supd.store.migrations import migrate


@pytest.fixture
def config(tmp_path: Path) -> Config:
    config = Config(str(tmp_path), "b1", "redis://127.0.0.1:1/0", False, "", task_key="00" * 32)
    config.save()
    return config


@pytest.fixture
def root(config: Config) -> str:
    engine = open_engine(sqlite_url(config.paths.database))
    migrate(engine)
    engine.dispose()
    return config.root


def test_its_store_is_edited(root: str) -> None:
    with open_client(root) as client:
        client.add("foo").instances.add("w1", nowait=True)
    with open_client(root) as client:
        assert client.get("foo").instances.all_names() == ["w1"]


def test_who_may_read_the_root_may_do_everything(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CYME_TOKEN", "somebody-elses")
    with open_client(root) as client:
        client.users.add("alice", "correct horse")
    with open_client(root) as client:
        assert list(client.users) == ["alice"]
        assert client.add("foo").name == "foo"


def test_an_old_schema_is_refused_with_the_command_that_migrates(config: Config, root: str) -> None:
    engine = open_engine(sqlite_url(config.paths.database))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0003'"))
    engine.dispose()
    with pytest.raises(Unavailable, match="start cyme-branch on it"):
        open_client(root)


def test_a_folder_without_a_branch(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="-D"):
        open_client(str(tmp_path))
    with pytest.raises(NotFound, match="-D"):
        open_client(str(tmp_path / "none"))


def test_a_branch_that_never_got_as_far_as_a_database(config: Config) -> None:
    with pytest.raises(NotFound, match="start cyme-branch"):
        open_client(config.root)
    assert not config.paths.database.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"root": 1}'])
def test_settings_that_are_none(content: str, config: Config) -> None:
    config.paths.config.write_text(content)
    with pytest.raises(Invalid, match=r"branch\.json"):
        open_client(config.root)


def test_the_root_of_another_user(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(Forbidden, match="the user that runs the branch"):
        open_client(root)
