"""The launcher, run as supervisord runs it."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from cyme_supd import launch
from cyme_supd.supervisord.rendering import LAUNCHER
from tests.launching import Launch, became, said
from tests.support import eventually
from tests.tree import SLEEP, is_alive, python

#: Writes down what it was started with, and stays.
TELLS = """
import json, os, signal, sys
about = {
    "argv": sys.argv[1:], "cwd": os.getcwd(), "environment": dict(os.environ), "pid": os.getpid(),
}
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o666)
os.write(fd, json.dumps(about).encode() + b"\\n")
signal.pause()
"""


def told(path: Path) -> dict[str, Any]:
    text = eventually(
        lambda: path.exists() and path.read_text().endswith("\n") and path.read_text()
    )
    found: dict[str, Any] = json.loads(text)
    return found


def test_it_becomes_what_it_is_told(start: Launch, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    process = start(
        python(TELLS, str(tmp_path / "told"), "a b", "%s;#'\"", ""),
        environment={"A": "ü", "B": 'x"\n'},
        directory=str(tmp_path / "work"),
        boot={"path": "/boot", "app": None},
        inherited={"SUPERVISOR_ENABLED": "1"},
    )
    about = told(tmp_path / "told")
    assert about["argv"][1:] == ["a b", "%s;#'\"", ""]
    assert about["pid"] == process.pid
    assert about["cwd"] == str(tmp_path / "work")
    environment = about["environment"]
    assert (environment["A"], environment["B"]) == ("ü", 'x"\n')
    assert environment["CYME_LAUNCH_DIRECTORY"] == str(folder)
    assert json.loads(environment["CYME_BOOT"]) == {"path": "/boot", "app": None}
    assert environment["PYTHONPATH"].split(":")[0] == "/boot"
    assert environment["SUPERVISOR_ENABLED"] == "1"


def test_its_folder_is_where_it_works_otherwise(
    start: Launch, folder: Path, tmp_path: Path
) -> None:
    start(python(TELLS, str(tmp_path / "told")))
    assert told(tmp_path / "told")["cwd"] == str(folder)


def test_what_it_leaves_beside_it(start: Launch, folder: Path) -> None:
    process = start(SLEEP)
    eventually(lambda: became(process))
    running = json.loads((folder / "running.json").read_text())
    assert (running["pid"], running["identity"]) == (process.pid, "i1")
    assert abs(running["started_at"] - psutil.Process(process.pid).create_time()) < 60
    assert (folder / "worker.pid").read_text() == f"{process.pid}\n"
    assert {path.name for path in folder.iterdir()} == {
        *("launch.json", "lock", "running.json", "worker.log", "worker.pid"),
    }
    written = [path for path in folder.iterdir() if path.name != "launch.json"]
    assert {path.stat().st_mode & 0o777 for path in written} == {0o600}


def test_its_log_is_appended_to(start: Launch, folder: Path) -> None:
    (folder / "worker.log").write_text("before\n")
    code, output = said(start(["/bin/sh", "-c", "echo out; echo err >&2"]))
    assert (code, output) == (0, "")
    assert (folder / "worker.log").read_text() == "before\nout\nerr\n"


def test_a_full_log_is_moved_aside(start: Launch, folder: Path) -> None:
    (folder / "worker.log.1").write_text("long ago")
    (folder / "worker.log").write_bytes(b"x" * (launch.LOG_SIZE + 1))
    assert said(start(["/bin/echo", "hello"]))[0] == 0
    assert (folder / "worker.log").read_text() == "hello\n"
    assert (folder / "worker.log.1").stat().st_size == launch.LOG_SIZE + 1


def test_without_a_log_of_its_own(start: Launch, folder: Path) -> None:
    assert said(start(["/bin/echo", "hello"], log=False)) == (0, "hello\n")
    assert not (folder / "worker.log").exists()


@pytest.mark.parametrize(
    ("wanted", "code", "line"),
    [
        ({"argv": ["/nonexistent"]}, 127, "cannot run /nonexistent: No such file or directory"),
        ({"argv": ["no-such-program"]}, 127, "cannot run no-such-program: No such file"),
        ({"argv": ["/etc/passwd"]}, 126, "cannot run /etc/passwd: Permission denied"),
        (
            {"argv": ["/bin/true", "x" * 200_000]},
            126,
            "cannot run /bin/true: Argument list too long",
        ),
        ({"argv": ["/bin/true"], "directory": "/nonexistent"}, 78, "cannot work in /nonexistent"),
        ({"argv": ["/bin/true"], "user": "nobody-like-this"}, 67, "there is no user"),
        ({"argv": ["/bin/true"], "user": "99999999999999999999"}, 67, "there is no user"),
    ],
)
def test_what_cannot_be_done_is_one_line_in_the_log(
    start: Launch, folder: Path, wanted: dict[str, Any], code: int, line: str
) -> None:
    assert said(start(**wanted)) == (code, "")
    (logged,) = (folder / "worker.log").read_text().splitlines()
    assert logged.startswith(f"cyme launcher: {line}")


def test_without_a_file_to_go_by(start: Launch, folder: Path) -> None:
    code, output = said(start())
    assert code == launch.EX_NOINPUT
    assert output == f"cyme launcher: cannot read {folder}/launch.json: No such file or directory\n"


def test_a_folder_that_cannot_be_written_to(start: Launch, folder: Path) -> None:
    (folder / "lock").mkdir()
    code, output = said(start(SLEEP))
    assert (code, output.count("\n")) == (launch.EX_CANTCREAT, 1)


def test_the_current_directory_is_not_imported_from(tmp_path: Path, folder: Path) -> None:
    for name in ("json", "fcntl", "ctypes", "os", "time"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')\n")
    (folder / "launch.json").write_text(json.dumps({"argv": ["/bin/true"]}))
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(LAUNCHER), str(folder)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        timeout=30,
    )
    assert done.returncode == 0


class TestDeath:
    """What becomes of it when supervisord, its parent, is gone."""

    @pytest.mark.parametrize(("death_signal", "survives"), [("TERM", True), ("KILL", False)])
    def test_the_signal(
        self, folder: Path, tmp_path: Path, death_signal: str, survives: bool
    ) -> None:
        code = (
            "import os, signal, sys\n"
            "def end(*_): open(sys.argv[1] + '/asked', 'w').close()\n"
            "signal.signal(signal.SIGTERM, end)\n"
            "open(sys.argv[1] + '/ready', 'w').write(str(os.getpid()))\n"
            "while True: signal.pause()\n"
        )
        content = {"argv": python(code, str(tmp_path)), "death_signal": death_signal}
        (folder / "launch.json").write_text(json.dumps(content))
        parent = self.parent_of(folder)
        ready = tmp_path / "ready"
        pid = int(eventually(lambda: ready.exists() and ready.read_text()))
        try:
            parent.kill()
            parent.wait()
            if survives:
                eventually((tmp_path / "asked").exists)
                assert is_alive(pid)
            else:
                eventually(lambda: not is_alive(pid))
                assert not (tmp_path / "asked").exists()
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
    def test_after_a_change_of_user(self, folder: Path, tmp_path: Path) -> None:
        content = {"argv": SLEEP, "user": "nobody", "death_signal": "TERM"}
        (folder / "launch.json").write_text(json.dumps(content))
        parent = self.parent_of(folder)
        running = folder / "running.json"
        eventually(running.exists)
        pid = json.loads(running.read_text())["pid"]
        eventually(lambda: psutil.Process(pid).name() == "sleep")
        assert psutil.Process(pid).uids().real == pwd.getpwnam("nobody").pw_uid
        parent.kill()
        parent.wait()
        eventually(lambda: not is_alive(pid))

    def test_supervisord_was_gone_before(self, start: Launch, folder: Path) -> None:
        process = start(SLEEP, inherited={launch.SUPERVISORD_PID: "1"})
        assert process.wait(30) == launch.EX_UNAVAILABLE
        assert "supervisord (1) is gone: not started" in (folder / "worker.log").read_text()

    def parent_of(self, folder: Path) -> subprocess.Popen[bytes]:
        """Somebody who runs the launcher as a child, and waits for it."""
        code = (
            "import os, signal, sys\n"
            "if os.fork() == 0: os.execv(sys.argv[1], sys.argv[1:])\n"
            "while True: signal.pause()\n"
        )
        command = [sys.executable, "-I", "-S", str(LAUNCHER), str(folder)]
        return subprocess.Popen(python(code, *command), stdin=subprocess.DEVNULL)


class TestUser:
    @pytest.fixture
    def nobody(self) -> pwd.struct_passwd:
        return pwd.getpwnam("nobody")

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
    def test_it_becomes_somebody_else(
        self, start: Launch, folder: Path, nobody: pwd.struct_passwd
    ) -> None:
        start(
            ["/bin/sh", "-c", "id -u; id -g; id -G; echo $HOME $USER $LOGNAME"], user="nobody"
        ).wait(30)
        assert (folder / "worker.log").read_text().splitlines() == [
            str(nobody.pw_uid),
            str(nobody.pw_gid),
            str(nobody.pw_gid),
            f"{nobody.pw_dir} nobody nobody",
        ]

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
    def test_a_number_will_do_and_the_app_may_say_otherwise(
        self, start: Launch, folder: Path, nobody: pwd.struct_passwd
    ) -> None:
        words = ["/bin/sh", "-c", "id -u; echo $HOME $USER"]
        start(words, user=str(nobody.pw_uid), environment={"HOME": "/srv"}).wait(30)
        assert (folder / "worker.log").read_text().split() == [
            str(nobody.pw_uid),
            "/srv",
            "nobody",
        ]

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
    def test_only_root_can(self, nobody: pwd.struct_passwd) -> None:
        # Somebody else may not be able to enter pytest's folder, nor to read
        # this Python's library.
        code = (
            "import __future__, ctypes, errno, fcntl, json, os, pwd, signal, sys, time, warnings\n"
            "program = compile(open(sys.argv[1]).read(), 'launch.py', 'exec')\n"
            "os.setgid(int(sys.argv[2])), os.setuid(int(sys.argv[2]))\n"
            "sys.argv[1:] = sys.argv[3:]\n"
            "exec(program, {'__name__': '__main__'})\n"
        )
        with tempfile.TemporaryDirectory() as name:
            os.chown(name, nobody.pw_uid, nobody.pw_gid)
            (Path(name) / "launch.json").write_text(json.dumps({"argv": SLEEP, "user": "root"}))
            done = subprocess.run(
                python(code, str(LAUNCHER), str(nobody.pw_uid), name), cwd="/", timeout=30
            )
            assert done.returncode == launch.EX_NOPERM
            line = "cyme launcher: only root can run a worker as 'root'\n"
            assert (Path(name) / "worker.log").read_text() == line

    def test_oneself_is_always_possible(self, start: Launch, folder: Path) -> None:
        me = pwd.getpwuid(os.geteuid()).pw_name
        assert said(start(["/bin/true"], user=me))[0] == 0


def test_signals_that_python_ignores_are_not_ignored(start: Launch, folder: Path) -> None:
    start(["/bin/grep", "SigIgn", "/proc/self/status"]).wait(30)
    ignored = int((folder / "worker.log").read_text().split()[1], 16)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        assert not ignored & (1 << (number - 1))
