"""In the background, under a service manager, and by its older names."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.acceptance import processes
from tests.acceptance.harness import BIN, MARK, BranchHost, cyme_branch, plain_environment
from tests.services import free_port
from tests.support import eventually

pytestmark = pytest.mark.timeout(60)


class Detached(BranchHost):
    """Started as a boot script does: by a command that returns."""

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        own = (f":{self.port}", "-D", str(self.root), "--fleet", self.fleet, "--detach")
        return cyme_branch(*own, *words, cwd=self.folder, environment={MARK: str(self.folder)})

    @property
    def pidfile(self) -> Path:
        return self.folder / "cyme.pid"

    def end(self) -> None:
        for pid in self.residents():
            if psutil.Process(pid).ppid() == 1:
                os.kill(pid, signal.SIGTERM)
        eventually(lambda: not self.residents(), 20)


def test_it_returns_when_the_branch_is_ready() -> None:
    with Detached() as host:
        done = host.run("--pidfile", str(host.pidfile))
        assert (done.returncode, done.stderr) == (0, "")
        assert host.get("/health/")["ok"]
        pid = int(host.pidfile.read_text())
        assert f"process {pid}; end it with: kill {pid}" in done.stdout
        assert (os.getsid(pid), psutil.Process(pid).terminal()) == (pid, None)
        assert psutil.Process(pid).cwd() == str(host.root)
        said = [os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)]
        assert said == [os.devnull, *[str(host.root / "start.log")] * 2]
        host.post("/foo/", 201)
        host.make("foo", "w1")

        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not host.residents(), 20)
        assert not host.pidfile.exists()
        assert "POST /foo/ -> 201" in host.log()
        assert (host.root / "start.log").read_text() == ""


def test_one_that_cannot_start_says_why() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, Detached() as host:
        host.port = taken.getsockname()[1]
        done = host.run()
        assert done.returncode == 6
        assert f"port {host.port}" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        host.port = free_port()
        refused = host.run("--pidfile", "no/such/folder/pid")
        assert (refused.returncode, "--pidfile" in refused.stderr) == (2, True)


def test_a_service_manager_hears_when_it_is_ready() -> None:
    with BranchHost() as host, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        path = host.folder / "notify"
        manager.bind(str(path))
        manager.settimeout(30)
        host.environment["NOTIFY_SOCKET"] = str(path)
        host.launch()
        assert manager.recv(100) == b"READY=1"
        assert host.is_up()
        host.post("/foo/", 201)
        host.make("foo", "w1")
        assert "NOTIFY_SOCKET" not in psutil.Process(host.pid("w1")).environ()
        # The next process of the branch says so again.
        processes.kill(host.pid("cyme:branch"))
        assert manager.recv(100) == b"READY=1"
        path.unlink()


@pytest.mark.parametrize("name", ["cyme-agent", "scs-agent"])
def test_older_names(name: str) -> None:
    done = subprocess.run(
        [str(BIN / name), "--version"], env=plain_environment(), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.startswith("cyme-branch, version")) == (0, True)
