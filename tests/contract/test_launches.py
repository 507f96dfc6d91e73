"""Launch files, on disk and in memory."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from cyme_supd.domain.declaration import entry
from cyme_supd.domain.ports import Launches
from cyme_supd.domain.spec import Queue
from cyme_supd.domain.status import Running
from cyme_supd.domain.tail import Piece, Place
from cyme_supd.errors import Unavailable
from cyme_supd.testing.launches import MemoryLaunches
from cyme_supd.workers.launches import LaunchedFiles, LaunchFiles, WorkerLogs, trim_logs
from tests.unit.values import AT, a_worker, the_launch

LAUNCH = the_launch(a_worker())
OTHER = the_launch(a_worker(max_concurrency=5))
Launched = Callable[[int], None]


@pytest.fixture(params=["memory", "files"])
def launches(request: pytest.FixtureRequest, tmp_path: Path) -> Launches:
    return MemoryLaunches() if request.param == "memory" else LaunchFiles(tmp_path)


@pytest.fixture
def launched(launches: Launches, tmp_path: Path) -> Launched:
    """What the launcher does before it becomes the worker."""

    def write(pid: int) -> None:
        if isinstance(launches, MemoryLaunches):
            launches.launched("w1", pid)
            return
        wanted = json.loads((tmp_path / "w1" / "launch.json").read_text())
        running = {"pid": pid, "started_at": 1.0, "identity": wanted["identity"]}
        (tmp_path / "w1" / "running.json").write_text(json.dumps(running))

    return write


def test_nothing_is_written_at_first(launches: Launches) -> None:
    assert launches.written("w1") is None
    assert launches.running("w1", 1) is None


def test_what_was_written_last_counts(launches: Launches) -> None:
    launches.write("w1", LAUNCH)
    launches.write("w1", OTHER)

    assert launches.written("w1") == OTHER.digest


def test_a_process_runs_with_what_was_written_when_it_started(
    launches: Launches, launched: Launched
) -> None:
    launches.write("w1", LAUNCH)
    launched(7)
    launches.write("w1", OTHER)

    assert launches.running("w1", 7) == Running(7, LAUNCH.identity)
    assert launches.running("w1", 8) is None


def test_the_declarations_of_the_file_that_is_there(launches: Launches) -> None:
    tasks = Queue("foo", "tasks", "tasks", "direct", "tasks", {}, AT)
    assert launches.queues("w1") == {}
    launches.write("w1", the_launch(replace(a_worker(), queues=(tasks,))))

    assert launches.queues("w1") == {"dq.w1": "", "tasks": entry(tasks)["digest"]}


def test_the_next_process_is_another(launches: Launches, launched: Launched) -> None:
    launches.write("w1", LAUNCH)
    launched(7)
    assert launches.running("w1", 7) is not None
    launched(8)

    assert launches.running("w1", 8) == Running(8, LAUNCH.identity)


def test_what_was_removed_is_gone_and_may_be_removed_again(
    launches: Launches, launched: Launched
) -> None:
    launches.write("w1", LAUNCH)
    launched(7)
    launches.remove("w1")
    launches.remove("w1")

    assert launches.written("w1") is None
    assert launches.running("w1", 7) is None


def test_the_files_of_one_that_has_not_ended_stay(launches: Launches, tmp_path: Path) -> None:
    launches.write("w1", LAUNCH)
    with locked(launches, tmp_path), pytest.raises(Unavailable):
        launches.remove("w1")
    assert launches.written("w1") == LAUNCH.digest

    launches.remove("w1")

    assert launches.written("w1") is None


@contextmanager
def locked(launches: Launches, tmp_path: Path) -> Iterator[None]:
    """A worker of ``w1`` runs, from before."""
    if isinstance(launches, MemoryLaunches):
        launches.locked.add("w1")
        yield
        launches.locked.remove("w1")
        return
    lock = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX)"
    wait = "print(flush=True); sys.stdin.read()"
    with Popen(
        [sys.executable, "-c", f"{lock}; {wait}", str(tmp_path / "w1" / "lock")],
        stdin=PIPE,
        stdout=PIPE,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        yield
        assert holder.stdin is not None
        holder.stdin.close()


class TestFiles:
    def test_another_branch_process_reads_what_is_there(self, tmp_path: Path) -> None:
        LaunchFiles(tmp_path).write("w1", LAUNCH)

        assert LaunchFiles(tmp_path).written("w1") == LAUNCH.digest

    def test_secrets_are_the_owners_alone(self, tmp_path: Path) -> None:
        LaunchFiles(tmp_path).write("w1", LAUNCH)
        file = tmp_path / "w1" / "launch.json"

        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", LAUNCH.digest.encode()])
    def test_half_a_file_is_none(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "w1").mkdir()
        (tmp_path / "w1" / "launch.json").write_bytes(content)
        (tmp_path / "w1" / "running.json").write_bytes(content)

        assert LaunchFiles(tmp_path).written("w1") is None
        assert LaunchFiles(tmp_path).running("w1", 7) is None
        assert LaunchFiles(tmp_path).queues("w1") == {}

    def test_whoever_writes_nothing_reads_anew(self, tmp_path: Path) -> None:
        reader, writer = LaunchedFiles(tmp_path), LaunchFiles(tmp_path)
        for each in (LAUNCH, OTHER):
            writer.write("w1", each)
            assert reader.written("w1") == each.digest
        writer.remove("w1")

        assert reader.written("w1") is None

    def test_a_disk_that_refuses_is_unavailable_and_leaves_the_old_file(
        self, tmp_path: Path
    ) -> None:
        files = LaunchFiles(tmp_path)
        files.write("w1", LAUNCH)
        (tmp_path / "w1" / ".launch.json.tmp").mkdir()

        with pytest.raises(Unavailable):
            files.write("w1", OTHER)
        assert files.written("w1") == LAUNCH.digest


class TestLogs:
    def test_the_end_of_a_log(self, tmp_path: Path) -> None:
        (tmp_path / "w1").mkdir()
        (tmp_path / "w1" / "worker.log").write_bytes(b"0123456789")

        assert WorkerLogs(tmp_path).tail("w1", 4) == b"6789"
        assert WorkerLogs(tmp_path).tail("w1", 99) == b"0123456789"

    def test_what_comes_after_a_place(self, tmp_path: Path) -> None:
        logs, path = WorkerLogs(tmp_path), tmp_path / "w1" / "worker.log"
        assert logs.read("w1", None, 9) == Piece(b"", Place())
        path.parent.mkdir()
        path.write_bytes(b"one\ntwo\n")
        first = logs.read("w1", Place(), 99)
        assert first.data == b"one\ntwo\n"
        assert logs.read("w1", None, 6) == Piece(b"two\n", first.place)
        assert logs.read("w1", first.place, 6) == Piece(b"", first.place)
        with path.open("ab") as file:
            file.write(b"0123456789")
        more = logs.read("w1", first.place, 6)
        assert (more.data, more.skipped) == (b"456789", 4)
        # Cut off, and another file.
        path.write_bytes(b"new\n")
        assert logs.read("w1", more.place, 6).data == b"new\n"
        path.rename(path.with_name("old"))
        assert logs.read("w1", more.place, 6) == Piece(b"", Place())
        path.write_bytes(b"other\nthat is longer than it was\n")
        assert logs.read("w1", more.place, 99).data == path.read_bytes()

    def test_of_one_that_never_started_is_empty(self, tmp_path: Path) -> None:
        assert WorkerLogs(tmp_path).tail("w1", 4) == b""

    def test_one_that_has_grown_is_moved_aside_under_the_worker_s_hands(
        self, tmp_path: Path
    ) -> None:
        for name in ("w1", "w2", "w3"):
            (tmp_path / name).mkdir()
        (tmp_path / "w2" / "worker.log").write_bytes(b"short")
        descriptor = os.open(
            tmp_path / "w1" / "worker.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600
        )
        os.write(descriptor, b"x" * 100)

        assert trim_logs(tmp_path, 50) == ["w1"]

        os.write(descriptor, b"more")
        os.close(descriptor)
        assert (tmp_path / "w1" / "worker.log").read_bytes() == b"more"
        assert (tmp_path / "w1" / "worker.log.1").read_bytes() == b"x" * 100
        assert (tmp_path / "w2" / "worker.log").read_bytes() == b"short"

    def test_that_cannot_be_read_is_unavailable(self, tmp_path: Path) -> None:
        os.makedirs(tmp_path / "w1" / "worker.log")

        with pytest.raises(Unavailable):
            WorkerLogs(tmp_path).tail("w1", 4)
        with pytest.raises(Unavailable):
            WorkerLogs(tmp_path).read("w1", None, 4)
