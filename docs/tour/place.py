"""Where the tour happens: a folder, a branch in it, and a shell.

All of it is gone at the end, whatever happened.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

#: The programs of the environment that the tour runs in.
BIN = Path(sys.executable).parent
UP_WITHIN_S = 30.0
DOWN_WITHIN_S = 60.0
#: Longer than any wait that a route may have.
COMMAND_S = 70.0
#: What a person's curl does at a terminal, and the status on the other stream.
CURLRC = 'silent\nshow-error\nnoproxy = "*"\nwrite-out = "%{stderr}%{http_code}"\n'


class Wrong(Exception):
    """Something is not as the tour says; the message is one line."""


def wait_for(check: Callable[[], Any], within_s: float, every_s: float = 0.05) -> Any:
    """The first truthy value of *check*; the last one when *within_s* seconds are over."""
    deadline = time.monotonic() + within_s
    while not (value := check()) and time.monotonic() < deadline:
        time.sleep(every_s)
    return value


class Place:
    """A folder of its own, with the terminal that the branch runs in and another one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "output"
        self._branch: subprocess.Popen[bytes] | None = None
        (folder / ".curlrc").write_text(CURLRC)
        (folder / "tmp").mkdir()

    @property
    def log(self) -> Path:
        return self.folder / "instances" / "branch.log"

    @property
    def environment(self) -> dict[str, str]:
        """The caller's, without what would change what Python, Celery or Cyme does."""
        ours = ("PYTHON", "CYME_", "CELERY_", "PYTEST_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {
            **kept,
            "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "CURL_HOME": str(self.folder),
            # A worker that is killed -9 cannot tidy up what it has there.
            "TMPDIR": str(self.folder / "tmp"),
        }

    def start(self, command: str, port: int) -> str:
        """Run the branch in the first terminal; what it prints first comes back."""
        with self.output.open("wb") as output:
            self._branch = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {command}"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        # The branch and its web start side by side, and either may be first.
        if not wait_for(lambda: self._is_up() and listens(port), UP_WITHIN_S):
            raise Wrong(f"the branch is not up within {UP_WITHIN_S:g} s")
        return self.output.read_text(errors="replace").partition("\n\n")[0]

    def _is_up(self) -> bool:
        assert self._branch is not None
        if self._branch.poll() is not None:
            said = self.output.read_text(errors="replace").strip().splitlines()
            raise Wrong(f"it ended with {self._branch.returncode}: {' '.join(said[-1:])}")
        return self.log.exists() and b" is up\n" in self.log.read_bytes()

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Type it into the other terminal."""
        return subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
        )

    def interrupt(self) -> int:
        """``^C`` in the first terminal; how the branch ended."""
        assert self._branch is not None
        os.killpg(self._branch.pid, signal.SIGINT)
        return self._branch.wait(DOWN_WITHIN_S)

    def left(self) -> list[int]:
        """Processes that belong to the folder."""
        return [pid for pid in _pids() if _has_a_foot_in(pid, os.fsencode(self.folder))]

    def end(self) -> None:
        """The same, by force where it must be; then whatever is left."""
        if self._branch is not None and self._branch.poll() is None:
            try:
                self.interrupt()
            except subprocess.TimeoutExpired:
                self._branch.kill()
                self._branch.wait()
        # After a kill of supervisord its workers end by themselves, warmly.
        wait_for(lambda: not self.left(), 5.0)
        for pid in self.left():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextmanager
def place() -> Iterator[Place]:
    """A place that is swept when it is left."""
    # The prefix is short: a unix socket's path has 107 bytes.
    with tempfile.TemporaryDirectory(prefix="cyme-tour-", ignore_cleanup_errors=True) as folder:
        here = Place(Path(folder).resolve())
        try:
            yield here
        finally:
            here.end()


def free_port() -> int:
    """A port that the kernel just had to give away."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _pids() -> list[int]:
    mine = os.getpid()
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != mine]


def _has_a_foot_in(pid: int, folder: bytes) -> bool:
    process = Path(f"/proc/{pid}")
    with suppress(OSError):
        if process.joinpath("stat").read_bytes().rpartition(b")")[2].split()[0] in (b"Z", b"X"):
            return False
        return folder in process.joinpath("cmdline").read_bytes() or os.fsencode(
            process.joinpath("cwd").readlink()
        ).startswith(folder)
    return False
