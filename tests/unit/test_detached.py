"""What whoever starts a branch in the background is told of it, by processes that are none."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cyme_supd.branch import readiness
from tests.support import eventually

START = """
import os, signal, sys
from types import SimpleNamespace
from cyme_supd.branch.readiness import NOTIFY_SOCKET, READY, notify
from cyme_supd.cli.detached import go_on_in_the_background, let_go_of_the_terminal
# As at a terminal: what runs in a shell's background ignores it, with all it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
go_on_in_the_background(float(sys.argv[1]))
"""


def start(within_s: float, child: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", START + child, str(within_s), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def ended(within_s: float, child: str, folder: Path) -> tuple[int, str, str]:
    with start(within_s, child, folder) as process:
        out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def said(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_ready(tmp_path: Path) -> None:
    code, out, err = ended(20, "notify(os.environ[NOTIFY_SOCKET], READY)", tmp_path)
    assert (code, err) == (0, "")
    assert out.startswith("  ready   process ")


@pytest.mark.parametrize(("child", "expected"), [("sys.exit(5)", 5), ("sys.exit(0)", 6)])
def test_one_that_ends_instead(child: str, expected: int, tmp_path: Path) -> None:
    assert ended(20, child, tmp_path) == (expected, "", "")


def test_the_last_words_of_one_that_had_let_go(tmp_path: Path) -> None:
    child = (
        "let_go_of_the_terminal(SimpleNamespace(root=sys.argv[2]))\n"
        "sys.exit('Error: no such thing')"
    )
    assert ended(20, child, tmp_path) == (1, "", "Error: no such thing\n")
    assert (tmp_path / "start.log").stat().st_mode & 0o777 == 0o600


def test_one_that_takes_too_long_goes_on(tmp_path: Path) -> None:
    child = "print(os.getpid(), file=open(sys.argv[2] + '/pid', 'w'), flush=True); signal.pause()"
    # Its output is not waited for: the child has it, too, as no branch would.
    with start(0.3, child, tmp_path) as process:
        assert process.wait(30) == 7
        pid = int(eventually(lambda: said(tmp_path / "pid")))
        os.kill(pid, signal.SIGKILL)
        assert f"process {pid} is not ready yet" in process.communicate()[1]


def test_an_interrupt_ends_both(tmp_path: Path) -> None:
    child = "print(os.getpid(), file=open(sys.argv[2] + '/pid', 'w'), flush=True); signal.pause()"
    with start(20, child, tmp_path) as process:
        pid = int(eventually(lambda: said(tmp_path / "pid")))
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        eventually(lambda: not Path(f"/proc/{pid}").exists())


class TestTelling:
    def test_once_it_is_ready(self, tmp_path: Path) -> None:
        looks = iter([False, False, True])
        beats: list[int] = []
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "s"))
            manager.settimeout(10)
            environment = {readiness.NOTIFY_SOCKET: str(tmp_path / "s")}
            readiness.tell_when(
                lambda: next(looks), threading.Event(), lambda: beats.append(1), environment
            )
            assert manager.recv(100) == b"READY=1"
        assert len(beats) == 3

    def test_nobody_asks(self) -> None:
        readiness.tell_when(lambda: pytest.fail("not asked"), threading.Event(), lambda: None, {})

    def test_nobody_is_there_any_more(self, tmp_path: Path) -> None:
        readiness.notify(str(tmp_path / "gone"), "READY=1")
        readiness.notify("@nobody-has-this-name", "READY=1")


def test_who_serves() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert readiness.serves("127.0.0.1", port)
    assert not readiness.serves("127.0.0.1", port)
