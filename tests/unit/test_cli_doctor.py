"""``cyme doctor`` on roots of every kind, with no branch on any of them."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from cyme_supd import __version__
from cyme_supd.cli import examining, probing
from cyme_supd.cli.asking import Wanted
from cyme_supd.cli.cyme import cyme
from cyme_supd.cli.rounds import MOST_APPS, checked, examine
from cyme_supd.clock import SystemClock
from cyme_supd.config import Config, Paths
from cyme_supd.domain.findings import Finding, Level, fine
from cyme_supd.domain.presence import Heartbeat, Peer
from cyme_supd.errors import Internal, Unavailable
from cyme_supd.mailbox.roll import RollFile
from cyme_supd.store.engine import open_engine, sqlite_url
from cyme_supd.store.migrations import migrate
from tests.services import free_port

#: Nobody listens on it.
DEAD = "redis://:s3cret@127.0.0.1:1/0"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    root = tmp_path / "root"
    root.mkdir(mode=0o700)
    config = Config(str(root), "b1", DEAD, False, "", port=free_port(), task_key="00" * 32)
    config.save()
    config.paths.instances.mkdir(mode=0o700)
    engine = open_engine(sqlite_url(config.paths.database))
    migrate(engine)
    engine.dispose()
    config.paths.database.chmod(0o600)
    return config


def ills(found: list[Finding], what: str) -> list[Finding]:
    """What is said to be wrong with that; each says what to do."""
    wrong = [each for each in found if each.what == what and each.level is not Level.OK]
    assert all(each.hint for each in wrong)
    return wrong


def ill(found: list[Finding], what: str) -> str:
    (only,) = ills(found, what)
    assert only.level is Level.ERROR
    return f"{only.message} {only.hint}"


def test_a_branch_that_is_down_is_looked_over(config: Config) -> None:
    found = examine(config.root)
    assert "no branch runs" in ill(found, "supervisord")
    assert {each.what for each in found} >= {"root", "versions", "clock", "rights", "disk", "store"}
    for what in ("root", "versions", "rights", "store", "orphans"):
        assert ills(found, what) == []
    assert "web" not in {each.what for each in found}


def test_a_broker_that_is_dead_without_its_password(config: Config) -> None:
    said = ill(examine(config.root), "broker")
    assert "redis://:********@127.0.0.1:1/0 cannot be used: " in said
    assert "s3cret" not in said


def test_a_broker_of_ones_own_is_down_with_its_branch(config: Config) -> None:
    Config(config.root, "b1", DEAD, True, "", task_key="00" * 32).save()
    assert "broker" not in {each.what for each in examine(config.root)}


def test_an_old_schema(config: Config) -> None:
    engine = open_engine(sqlite_url(config.paths.database))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0003'"))
    engine.dispose()
    found = examine(config.root)
    assert "start cyme-branch on it" in ill(found, "store")
    # What nothing can be said of without a store is not said to be ill, too.
    assert "branch" not in {each.what for each in found}


def test_a_file_that_is_no_database(config: Config) -> None:
    config.paths.database.write_bytes(b"nonsense" * 1000)
    assert len(ills(examine(config.root), "store")) == 1


def test_a_root_that_others_may_enter(config: Config) -> None:
    config.paths.root.chmod(0o750)
    config.paths.config.chmod(0o644)
    open_root, readable = ills(examine(config.root), "rights")
    assert open_root.hint == f"chmod 700 {config.root}"
    assert "branch.json" in readable.message
    assert {open_root.level, readable.level} == {Level.ERROR}


def test_what_others_may_read_behind_a_closed_root(config: Config) -> None:
    config.paths.config.chmod(0o644)
    (found,) = ills(examine(config.root), "rights")
    assert found.level is Level.WARNING


def test_files_of_somebody_else(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    real = examining._status

    def status(path: Path) -> Any:
        told = list(real(path))
        told[4] += path.name == "branch.db"
        return os.stat_result(told)

    monkeypatch.setattr(examining, "_status", status)
    assert "branch.db of another user" in ill(examine(config.root), "rights")


def test_the_root_of_another_user(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    found = examine(config.root)
    assert "the user that runs the branch" in ill(found, "root")
    # Nothing in it is opened, for what that would leave there.
    assert {each.what for each in found} == {"root", "versions", "clock"}


def test_roots_that_are_none(tmp_path: Path) -> None:
    assert "-D" in ill(examine(str(tmp_path / "none")), "root")
    Paths(tmp_path).config.write_text("{")
    assert "branch.json is not what cyme-branch writes" in ill(examine(str(tmp_path)), "root")


def test_a_root_that_was_moved(config: Config, tmp_path: Path) -> None:
    moved = config.paths.root.rename(tmp_path / "moved")
    found = examine(str(moved))
    assert "it has been moved, or copied" in ill(found, "root")
    # What is looked at is what lies there.
    assert ills(found, "store") == []


def test_a_disk_that_is_full(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    full = os.statvfs_result((4096, 4096, 100, 0, 0, 100, 50, 50, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    assert "0 MiB are free" in ill(examine(config.root), "disk")


def test_libraries_that_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"celery": "4.4.7"}

    def installed(name: str) -> str:
        if name == "SQLAlchemy":
            raise metadata.PackageNotFoundError(name)
        return found.get(name) or metadata.version(name)

    monkeypatch.setattr(examining, "installed", installed)
    said = {each.message: each.hint for each in examining.versions()}
    assert said["celery is 4.4.7, and not >=5.7"] == "pip install 'celery>=5.7'"
    assert "SQLAlchemy is not installed" in said
    assert len(said) == 2


def test_branches_of_another_version(config: Config) -> None:
    clock = SystemClock()

    def heard(id: str, version: str, ago: timedelta) -> Peer:
        now = clock.now()
        beat = Heartbeat(id, "http://h:1", 1, version, now, sup_interval=5, numc=2, loglevel="INFO")
        return Peer(beat, now - ago, is_live=True)

    peers = [
        heard("same", __version__, timedelta()),
        heard("old", "0.0.1", timedelta()),
        heard("gone", "0.0.1", timedelta(days=1)),
    ]
    RollFile(config, clock).keep({peer.heartbeat.id: peer for peer in peers})
    (found,) = ills(examine(config.root), "versions")
    assert (found.level, "branch old runs Cyme 0.0.1" in found.message) == (Level.WARNING, True)


def test_a_store_that_is_lost_on_the_way(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def apps(config: Config) -> list[str]:
        raise Unavailable("the database does not answer", "try again")

    monkeypatch.setattr(probing, "apps", apps)
    found = examine(config.root)
    assert ill(found, "store") == "the database does not answer try again"
    assert ills(found, "disk") == []


def test_more_apps_than_are_looked_at_is_said(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "apps", lambda config: [f"a{n}" for n in range(MOST_APPS + 4)])
    monkeypatch.setattr(probing, "app", lambda config, name: [fine("orphans", name)])
    found = examine(config.root)
    (said,) = ills(found, "orphans")
    assert said.message == f"{MOST_APPS} of {MOST_APPS + 4} apps were looked at"
    assert {f"a{n}" for n in range(MOST_APPS)} <= {each.message for each in found}


@pytest.mark.parametrize(("kernel", "level"), [(0, Level.OK), (5, Level.WARNING)])
def test_a_clock_that_is_set_or_not(
    kernel: int, level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examining, "_kernel_clock", lambda: kernel)
    (found,) = examining.clock()
    assert found.level is level


def test_no_check_keeps_the_others_waiting_or_takes_them_along() -> None:
    never = threading.Event()

    def hangs() -> Iterator[Finding]:
        never.wait()
        yield fine("hangs", "")

    def breaks() -> list[Finding]:
        raise RuntimeError("odd")

    def refuses() -> list[Finding]:
        raise Unavailable("no", "do this")

    checks = {"hangs": hangs, "breaks": breaks, "refuses x": refuses}
    found = checked({**checks, "well": lambda: [fine("well", "it is")]}, within_s=0.5)
    never.set()
    assert [(each.what, each.level) for each in found] == [
        ("hangs", Level.ERROR),
        ("breaks", Level.ERROR),
        ("refuses", Level.ERROR),
        ("well", Level.OK),
    ]
    assert "not known within 0.5 s" in found[0].message
    assert "odd" in found[1].message
    assert (found[2].message, found[2].hint) == ("no", "do this")


def run(*words: str) -> Any:
    return CliRunner().invoke(cyme, list(words), obj=Wanted(), standalone_mode=False)


def test_a_pipe_gets_json_and_the_exit_code_tells(config: Config) -> None:
    ended = run("doctor", "-D", config.root)
    assert ended.return_value == Internal.exit == 1
    found = json.loads(ended.output)
    assert all(each.keys() == {"what", "level", "message", "hint"} for each in found)
    assert {"error", "ok"} <= {each["level"] for each in found}


def test_without_errors_it_is_zero(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("supervisord", "control_broker"):
        monkeypatch.setattr(probing, part, lambda config: [])
    assert run("doctor", "-D", config.root).return_value == 0


def test_people_get_a_line_each_and_what_to_do(config: Config) -> None:
    lines = run("doctor", "-D", config.root, "-F", "pretty").output.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("error    supervisord"))
    assert lines[at].endswith(f"no branch runs on {config.root}")
    assert lines[at + 1].strip().startswith("-> start cyme-branch on it")
