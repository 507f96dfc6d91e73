"""The disk is full, or the power is cut, at every system call of a write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.rows import RUNS, Row
from tests.faults.syscalls import Writer

pytestmark = [pytest.mark.rows, pytest.mark.faults, pytest.mark.timeout(1200)]

_TRY = """
import sys
from pathlib import Path
from cyme_supd.errors import CymeError
folder = Path(sys.argv[1])
try:
    {}
except CymeError as exc:
    sys.exit(f"refused: {{exc}}")
except OSError as exc:
    sys.exit(f"refused: {{exc}}")
"""
_LAUNCHER = """
import os, sys
from cyme_supd import launch
try:
    launch._write_running(sys.argv[1], {"identity": "new"})
except launch.Failure as failure:
    sys.exit(f"refused: {failure.line}")
"""
_SECTION = "w1.conf"
WRITERS = {
    "section": Writer(
        "from cyme_supd.supervisord.sections import SectionFiles\n"
        + _TRY.format("SectionFiles(folder.parent).write('w1', 77)"),
        (_SECTION, f".{_SECTION}.tmp"),
    ),
    "launch": Writer(
        "from cyme_supd.workers.launches import LaunchFiles\n"
        "from cyme_supd.domain.launch import Launch\n"
        + _TRY.format(
            "LaunchFiles(folder.parent).write(folder.name, Launch(argv=('new',), environment={},"
            " directory=None, user=None, boot={}, identity='', digest=''))"
        ),
        ("launch.json", ".launch.json.tmp"),
    ),
    "settings": Writer(
        "from cyme_supd.config import Config\n"
        + _TRY.format("Config(str(folder), 'new', 'redis://h', False, 'x').save()"),
        ("branch.json", ".branch.json.tmp"),
    ),
    "running": Writer(
        _LAUNCHER, ("running.json", "running.json.tmp", "worker.pid", "worker.pid.tmp")
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "conf.d"
    folder.mkdir()
    (tmp_path / "instances").mkdir()
    return folder


def contents(folder: Path, writer: Writer) -> dict[str, bytes]:
    """Of the files that a reader looks at; times and pids left out."""
    found = {}
    for name in writer.names:
        path = folder / name
        if not name.endswith(".tmp") and path.exists():
            found[name] = path.read_bytes()
            if name == "running.json":
                found[name] = json.loads(found[name])["identity"].encode()
            if name == "worker.pid":
                found[name] = b"old" if found[name] == b"old" else b"new"
    return found


def restore(folder: Path, old: dict[str, bytes]) -> None:
    for path in folder.iterdir():
        path.unlink()
    for name, content in old.items():
        is_running = name == "running.json"
        (folder / name).write_bytes(b'{"identity": "old"}' if is_running else content)


@pytest.mark.parametrize("kind", WRITERS)
def test_at_every_call(kind: str, folder: Path) -> None:
    """Killed there, or refused: old or new, never mixed; and the next write is whole."""
    writer = WRITERS[kind]
    old = {name: b"old" for name in writer.names if not name.endswith(".tmp")}
    restore(folder, old)
    points = writer.points(folder)
    new = contents(folder, writer)
    assert set(new) == set(old)
    assert len(points) >= 4
    errors = ("ENOSPC", "EIO", "EROFS") if RUNS > 1 else ("ENOSPC",)
    for point in points:
        for error in (None, *errors):
            restore(folder, old)
            done = (
                writer.refused_at(point, error, folder)
                if error
                else writer.killed_at(point, folder)
            )
            found = contents(folder, writer)
            where = f"{error or 'killed'} at {point}: {done.stderr}"
            for name in old:
                assert found.get(name) in (old[name], new[name]), where
            if error:
                assert "Traceback" not in done.stderr, where
                assert done.returncode == 0 or "refused: " in done.stderr, where
                assert not list(folder.glob("*.tmp")) or point.call == "unlink", where
            writer.undisturbed(folder)
            assert contents(folder, writer) == new, where
            assert not list(folder.glob("*.tmp")), where
    row = Row(f"full disk, power cut: {kind}", "", 0, 11)
    row.note = f"{len(points) * (1 + len(errors))} of {len(points) * (1 + len(errors))} points"
    row.check()
