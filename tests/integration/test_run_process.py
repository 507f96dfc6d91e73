"""One run's processes, its time and its output: all of it ends, whatever the job does."""

from __future__ import annotations

import os
import pwd
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cyme_supd.domain.orders import MAX_TAIL, RunEnd
from cyme_supd.runner.logs import Logs, tail
from cyme_supd.runner.process import End, Process
from tests.dispatching import a_grant
from tests.support import eventually

Start = Callable[..., tuple[Process, Path]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def start(root: Path) -> Iterator[Start]:
    begun: list[Process] = []

    def start(grace_s: float = 0.3, **given: Any) -> tuple[Process, Path]:
        grant = a_grant(**given)
        log = Logs(root).prepare(grant.job, grant.run)
        process = Process(grant, log, grace_s)
        begun.append(process)
        return process, log

    yield start
    for process in begun:
        process.close()


def end_of(process: Process) -> End:
    end: End = eventually(lambda: process.wait(1.0), 60)
    return end


def marked(mark: str) -> list[int]:
    """Processes that have *mark* among their arguments, and have not ended."""
    found = []
    for each in psutil.process_iter(["cmdline", "status"]):
        if mark in (each.info["cmdline"] or ()) and each.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(each.pid)
    return found


def test_a_shell_and_no_shell(start: Start) -> None:
    process, log = start(command="echo $((40 + 2)); echo oops >&2; exit 3")
    end = end_of(process)
    assert (end.status, end.exit_code, end.signal) == (RunEnd.FAILED, 3, None)
    assert log.read_text() == "42\noops\n"
    assert (end.size, end.is_truncated, end.error) == (8, False, None)
    assert end.finished_at >= end.started_at
    process, log = start(argv=("printf", "%s|", "$((40 + 2))", "; exit 3"))
    assert end_of(process).status == RunEnd.SUCCEEDED
    assert log.read_text() == "$((40 + 2))|; exit 3|"


def test_a_signal_and_what_is_not_there(start: Start) -> None:
    end = end_of(start(command="kill -USR1 $$")[0])
    assert (end.status, end.exit_code, end.signal) == (RunEnd.FAILED, None, signal.SIGUSR1)
    process, log = start(argv=("no-such-program-anywhere",))
    assert end_of(process).exit_code == 127
    assert b"cannot run it" in log.read_bytes()
    assert end_of(start(argv=("/etc/passwd",))[0]).exit_code == 126


#: In its group, in a session of its own, and with its parent gone; deaf, all of them.
TREE = "trap '' TERM; sleep {0} & setsid sleep {0} & (setsid sleep {0} & ) & wait; sleep {0}"


def test_the_timeout_ends_all_of_it(start: Start) -> None:
    mark = "4321.25"
    process, _ = start(command=TREE.format(mark), timeout_s=1.0)
    eventually(lambda: len(marked(mark)) == 3)
    end = end_of(process)
    assert (end.status, end.exit_code) == (RunEnd.TIMED_OUT, None)
    assert marked(mark) == []


def test_who_hears_the_timeout_may_tidy_up(start: Start) -> None:
    process, log = start(
        command="trap 'echo bye; exit 0' TERM; sleep 4321.5 & wait", timeout_s=2.0, grace_s=10.0
    )
    assert (end_of(process).status, log.read_text()) == (RunEnd.TIMED_OUT, "bye\n")


def test_a_cancelled_run(start: Start) -> None:
    mark = "4321.75"
    process, _ = start(command=TREE.format(mark), timeout_s=None)
    eventually(lambda: len(marked(mark)) == 3)
    process.cancel()
    assert end_of(process).status == RunEnd.CANCELLED
    assert marked(mark) == []


def test_a_job_that_has_ended_leaves_no_daemon(start: Start) -> None:
    mark = "4322.25"
    process, _ = start(command=f"(setsid sleep {mark} &) ; setsid sleep {mark} & exit 0")
    assert end_of(process).status == RunEnd.SUCCEEDED
    assert marked(mark) == []


RUNNER = """
import sys, time
from pathlib import Path
from cyme_supd.runner.process import Process
from tests.dispatching import a_grant
process = Process(a_grant(command=sys.argv[1]), Path(sys.argv[2]))
process.wait(600)
"""


def test_a_killed_runner_leaves_no_process(tmp_path: Path) -> None:
    mark = "4322.5"
    command = [sys.executable, "-c", RUNNER, TREE.format(mark), str(tmp_path / "x.log")]
    with subprocess.Popen(command) as runner:
        eventually(lambda: len(marked(mark)) == 3, 60)
        below = psutil.Process(runner.pid).children(recursive=True)
        runner.kill()
    eventually(lambda: not marked(mark))
    eventually(lambda: not any(each.is_running() for each in below))


def test_a_killed_keeper_takes_the_job_along(start: Start) -> None:
    mark = "4322.75"
    process, _ = start(argv=("sleep", mark))
    eventually(lambda: marked(mark))
    os.kill(process._keeper.pid, signal.SIGKILL)
    eventually(lambda: not marked(mark))


def test_the_environment_is_the_jobs_own(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://:hunter2@h/")
    monkeypatch.setenv("CYME_BOOT", "hunter2")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    process, log = start(argv=("env",), environment={"A": "1 2", "CYME_JOB": "forged"})
    end_of(process)
    found = dict(line.split("=", 1) for line in log.read_text().splitlines())
    assert set(found) - {"LANG", "LC_ALL"} == {
        "A", "CYME_FIRE_TIME", "CYME_JOB", "CYME_RUN_ID", "HOME", "LOGNAME", "PATH", "SHELL",
        "TZ", "USER",
    }  # fmt: skip
    assert (found["A"], found["CYME_JOB"], found["TZ"]) == ("1 2", "nightly", "Asia/Tokyo")
    assert found["CYME_FIRE_TIME"] == "2026-01-02T03:04:05+00:00"


@pytest.fixture
def in_the_background() -> Iterator[None]:
    """As a shell starts what is to be there."""
    before = signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGQUIT, before)


@pytest.mark.usefixtures("in_the_background")
def test_what_a_job_inherits(start: Start) -> None:
    with open("/etc/passwd", "rb") as secret:
        os.set_inheritable(secret.fileno(), True)
        process, log = start(
            command="umask; ulimit -c; ls /proc/self/fd | wc -l; cat; ps -o sid= -p $$ | tr -d ' '"
            "; echo $$; grep SigIgn /proc/self/status"
        )
        end_of(process)
    umask, core, fds, sid, pid, ignored = log.read_text().splitlines()
    # 0, 1, 2 and the folder that ls reads.
    assert (umask, core, fds, sid) == ("0077", "0", "4", pid)
    # Of signals 32 and 33, which are the C library's, nobody can say how they are taken.
    assert int(ignored.split()[1], 16) & ~(0b11 << 31) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_another_user(start: Start, root: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    process, log = start(command="id -u; id -G; echo $HOME $USER", user="nobody")
    assert end_of(process).status == RunEnd.SUCCEEDED
    uid, groups, names = log.read_text().splitlines()
    assert (int(uid), groups.split()) == (nobody.pw_uid, [str(nobody.pw_gid)])
    assert names == f"{nobody.pw_dir} nobody"
    # It can neither end its keeper nor read what others print.
    process, log = start(command=f"kill -9 $PPID; cat {log}", user="nobody")
    assert end_of(process).status == RunEnd.FAILED
    process, log = start(argv=("true",), user="no-such-user")
    assert end_of(process).exit_code == 126
    assert b"no-such-user" in log.read_bytes()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_another_users_processes_are_ended_too(start: Start) -> None:
    mark = "4323.25"
    process, _ = start(command=TREE.format(mark), user="nobody", timeout_s=1.0)
    eventually(lambda: len(marked(mark)) == 3)
    assert end_of(process).status == RunEnd.TIMED_OUT
    assert marked(mark) == []


def test_too_much_output(start: Start) -> None:
    most = 200_000
    process, log = start(
        command="echo begin; head -c 30000000 /dev/zero | tr '\\0' x; echo end", max_output=most
    )
    end = end_of(process)
    assert (end.status, end.size, end.is_truncated) == (RunEnd.SUCCEEDED, 30_000_010, True)
    kept = log.read_bytes()
    assert most <= len(kept) <= most + 100
    assert kept.startswith(b"begin\nxxx")
    assert kept.endswith(b"xend\n")
    assert b"bytes are left out here" in kept
    assert tail(log, MAX_TAIL)[1].endswith(b"xend\n")


def test_output_that_is_just_not_too_much(start: Start) -> None:
    process, log = start(command="head -c 100000 /dev/zero", max_output=100_000)
    assert end_of(process).is_truncated is False
    assert log.read_bytes() == bytes(100_000)


def test_output_is_there_while_it_runs_and_is_nobody_elses(start: Start, root: Path) -> None:
    process, log = start(command="printf '\\377\\376'; echo; exec sleep 4323.5")
    eventually(lambda: log.read_bytes() == b"\xff\xfe\n")
    assert process.wait(0) is None
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    for folder in (root / "runs", root / "runs" / "j1"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    process.kill()
    assert end_of(process).status == RunEnd.CANCELLED


def test_old_output_goes(root: Path) -> None:
    logs = Logs(root, kept=2, max_age_s=1000)
    paths = [logs.prepare("j1", f"r{number}") for number in range(4)]
    for number, path in enumerate(paths):
        path.write_text("x")
        os.utime(path, (0, time.time() - 10 * number - 990))
    logs.prune("j1")
    assert [path.exists() for path in paths] == [True, False, False, False]
