"""Never two of one instance: the launcher's lock."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from cyme_supd import launch
from cyme_supd.supervisord.rendering import LAUNCHER
from tests.launching import Launch, became, said
from tests.support import eventually
from tests.tree import SLEEP, is_alive, python


class TestLock:
    @pytest.fixture(autouse=True)
    def _patient(self) -> None:
        """Whoever waits in these tests waits for less than their timeout."""
        assert launch.LOCK_WAIT_S < 10

    def test_only_one_runs(self, start: Launch, folder: Path) -> None:
        first = start(SLEEP)
        eventually(lambda: became(first))
        second = start(SLEEP)
        code, output = said(second)
        assert code == launch.EX_TEMPFAIL
        assert output == (
            f"cyme launcher: {folder}/lock is held by process {first.pid}: it has not ended yet\n"
        )
        assert became(first)
        assert json.loads((folder / "running.json").read_text())["pid"] == first.pid

    def test_the_next_runs_when_the_first_is_gone(
        self, start: Launch, folder: Path, tmp_path: Path
    ) -> None:
        first = start(SLEEP)
        eventually(lambda: became(first))
        second = start()
        eventually(lambda: waits(second, folder))
        # What is wanted has changed while it waited.
        content = {"argv": ["/bin/echo", "today"], "identity": "i2"}
        (folder / "launch.json").write_text(json.dumps(content))
        first.kill()
        assert said(second)[0] == 0
        assert (folder / "worker.log").read_text() == "today\n"

    def test_what_a_task_leaves_behind_does_not_hold_it(
        self, start: Launch, folder: Path, tmp_path: Path
    ) -> None:
        left = tmp_path / "left"
        code = (
            "import os, signal, sys\n"
            "os.system('setsid sleep 1000 & echo $! > ' + sys.argv[1])\n"
            "signal.pause()\n"
        )
        first = start(python(code, str(left)))
        orphan = int(eventually(lambda: left.exists() and left.read_text()))
        try:
            eventually(lambda: psutil.Process(orphan).name() == "sleep")
            first.kill()
            first.wait()
            second = start(SLEEP)
            eventually(lambda: became(second), 5)
            assert is_alive(orphan)
        finally:
            os.kill(orphan, signal.SIGKILL)


class TestLosing:
    """Who does not get it, with a launcher that waits for less."""

    @pytest.fixture
    def launcher(self, tmp_path: Path) -> Path:
        text = Path(LAUNCHER).read_text()
        quick = tmp_path / "launch.py"
        quick.write_text(text.replace(f"LOCK_WAIT_S = {launch.LOCK_WAIT_S}", "LOCK_WAIT_S = 1.0"))
        assert quick.read_text() != text
        return quick

    def test_of_many_at_once_exactly_one_runs(self, start: Launch, folder: Path) -> None:
        processes = [start(SLEEP) for _ in range(6)]
        ended = [process for process in processes if eventually(lambda p=process: settled(p))]
        assert len(ended) == len(processes)
        (only,) = [process for process in processes if process.poll() is None]
        assert became(only)
        codes = {process.returncode for process in processes if process is not only}
        assert codes == {launch.EX_TEMPFAIL}

    def test_it_is_kept_when_a_child_closes_everything(
        self, start: Launch, folder: Path, tmp_path: Path
    ) -> None:
        closed = tmp_path / "closed"
        code = (
            "import os, signal, sys\n"
            "if os.fork() == 0:\n"
            "    os.closerange(3, 100)\n"
            "    open(sys.argv[1], 'w').close()\n"
            "    os._exit(0)\n"
            "signal.pause()\n"
        )
        start(python(code, str(closed)))
        eventually(closed.exists)
        assert said(start())[0] == launch.EX_TEMPFAIL


def settled(process: subprocess.Popen[bytes]) -> bool:
    """Ended, or become what it was to become."""
    return process.poll() is not None or became(process)


def waits(process: subprocess.Popen[bytes], folder: Path) -> bool:
    """Whether it has the lock's file open."""
    with suppress(psutil.NoSuchProcess, FileNotFoundError):
        opened = [os.readlink(fd) for fd in Path(f"/proc/{process.pid}/fd").iterdir()]
        return str(folder / "lock") in opened
    return False
