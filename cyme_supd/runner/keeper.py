"""Keeps one run of a job: ``python -I -S keeper.py``, one process for each run.

The standard library alone, run by path and with an empty environment. It
reads one line of JSON on standard input, and then whether to go on: ``c``
cancels the run, and the end of the input means that the runner is gone. It
answers on standard output, one line of JSON each: that the job has started,
and how it ended.

Whatever the job starts, in whatever session or group, is the keeper's to find
and to end, because the kernel hands it those whose parents have ended: when
the job has, when its time is over, when it is cancelled, and when the runner
is gone. It is root where the runner is, and the job is not where it has a user.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import pwd
import resource
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

EX_NOT_EXECUTABLE, EX_NOT_FOUND = 126, 127
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
CHUNK = 256 * 1024
#: What any user may have.
PIPE_SIZE = 256 * 1024
#: What is left of a job is killed again and again until nothing is.
KILL_EVERY_S = 0.02
#: A process that the kernel does not end by then, or may not, is told of.
GIVE_UP_S = 10.0

libc = ctypes.CDLL(None, use_errno=True)


class Log:
    """What is printed: its beginning, and its end, in a file; all is read, whatever is kept."""

    def __init__(self, path: str, most: int, tail: int) -> None:
        self._fd = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW, 0o600
        )
        # The last of it has its place there, too.
        self._tail_size = tail
        self._head = max(0, most - tail)
        self._kept = 0
        self._end = b""
        self.size = 0
        self.is_full = False

    def add(self, data: bytes) -> None:
        self.size += len(data)
        fits = data[: max(0, self._head - self._kept)]
        self._write(fits)
        rest = data[len(fits) :]
        if len(rest) < self._tail_size:
            rest = self._end + rest
        self._end = rest[-self._tail_size :]

    def finish(self, most: int) -> bool:
        """Put the end there; whether something between is missing."""
        left = most - self._kept
        end = self._end[-left:] if left > 0 else b""
        missing = self.size - self._kept - len(end)
        if missing:
            self._write(f"\n[{missing} bytes are left out here]\n".encode())
        self._write(end)
        return missing > 0

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view and not self.is_full:
            try:
                done = os.write(self._fd, view)
            except OSError:
                # No space: the job goes on, and what it prints is lost.
                self.is_full = True
                return
            self._kept += done
            view = view[done:]


class Keeper:
    def __init__(self, wanted: dict[str, Any]) -> None:
        self._wanted = wanted
        self._log = Log(wanted["log"], wanted["max_output"], wanted["max_tail"])
        self._why: str | None = None
        self._deadlines: list[tuple[float, int]] = []
        self._is_watched = True
        self._status: int | None = None
        self._leader = 0
        self._output = -1
        self._wake = -1
        self._left = 0

    def run(self) -> None:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._wake, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # ^C at the runner is for the runner, which says what is to be.
            signal.signal(number, signal.SIG_IGN)
        started_at = time.time()
        begun = time.monotonic()
        self._output, ends = os.pipe2(os.O_CLOEXEC)
        fcntl.fcntl(ends, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        self._leader = self._start(ends)
        os.close(ends)
        say({"started_at": started_at, "pid": self._leader})
        if self._wanted["timeout_s"] is not None:
            self._deadlines.append((begun + self._wanted["timeout_s"], 0))
        while self._status is None:
            self._step()
        self._end_what_is_left()
        finished_at = started_at + time.monotonic() - begun
        self._tell(started_at, finished_at)

    def _step(self) -> None:
        fds = [self._wake, *([0] if self._is_watched else [])]
        if self._output >= 0:
            fds.append(self._output)
        ready = select.select(fds, [], [], self._wait_s())[0]
        if self._output in ready:
            self._drain()
        if self._wake in ready:
            os.read(self._wake, 4096)
            self._reap()
        if 0 in ready:
            self._listen()
        self._look_at_the_clock()

    def _wait_s(self) -> float | None:
        if not self._deadlines:
            return None
        return max(0.0, self._deadlines[0][0] - time.monotonic())

    def _look_at_the_clock(self) -> None:
        while self._deadlines and time.monotonic() >= self._deadlines[0][0]:
            step = self._deadlines.pop(0)[1]
            if step == 0:
                self._end("timed_out")
            else:
                signal_all(signal.SIGKILL)
                self._deadlines = [(time.monotonic() + KILL_EVERY_S, 1)]

    def _listen(self) -> None:
        said = os.read(0, 64)
        if said == b"":
            self._is_watched = False
            self._why = self._why or "cancelled"
            signal_all(signal.SIGKILL)
            self._deadlines = [(time.monotonic() + KILL_EVERY_S, 1)]
        elif b"c" in said and self._why is None:
            self._end("cancelled")

    def _end(self, why: str) -> None:
        """Ask all there is to end, and kill it if it does not within its grace."""
        if self._why is not None:
            return
        self._why = why
        signal_all(signal.SIGTERM)
        self._deadlines = [(time.monotonic() + self._wanted["grace_s"], 1)]

    def _drain(self) -> bool:
        try:
            data = os.read(self._output, CHUNK)
        except BlockingIOError:
            return False
        if data:
            self._log.add(data)
            return True
        os.close(self._output)
        self._output = -1
        return False

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._leader:
                self._status = status

    def _end_what_is_left(self) -> None:
        """No run leaves a process: they have their grace, and are killed then."""
        if signal_all(signal.SIGTERM):
            now = time.monotonic()
            is_asked = self._why is not None and self._deadlines
            kill_at = self._deadlines[0][0] if is_asked else now + self._wanted["grace_s"]
            give_up_at = kill_at + GIVE_UP_S
            while (alive := descendants()) and time.monotonic() < give_up_at:
                if time.monotonic() >= kill_at or not self._is_watched:
                    for pid in alive:
                        send(pid, signal.SIGKILL)
                self._pass(KILL_EVERY_S)
            self._left = len(alive)
        if self._output >= 0:
            os.set_blocking(self._output, False)
            while self._output >= 0 and self._drain():
                pass

    def _pass(self, seconds: float) -> None:
        """A moment in which output is read and the input is heard."""
        fds = [each for each in (self._output, 0 if self._is_watched else -1) if each >= 0]
        ready = select.select(fds, [], [], seconds)[0]
        if self._output in ready:
            self._drain()
        if 0 in ready and os.read(0, 64) == b"":
            self._is_watched = False
        self._reap()

    def _tell(self, started_at: float, finished_at: float) -> None:
        assert self._status is not None
        is_cut = self._log.finish(self._wanted["max_output"])
        by_signal = os.WIFSIGNALED(self._status)
        say(
            {
                "why": self._why,
                "exit_code": None if by_signal else os.WEXITSTATUS(self._status),
                "signal": os.WTERMSIG(self._status) if by_signal else None,
                "started_at": started_at,
                "finished_at": finished_at,
                "size": self._log.size,
                "is_truncated": is_cut or self._log.is_full,
                "left": self._left,
            }
        )

    def _start(self, output: int) -> int:
        keeper = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        try:
            become(self._wanted, output, keeper)
        except BaseException as exc:
            code = EX_NOT_FOUND if isinstance(exc, FileNotFoundError) else EX_NOT_EXECUTABLE
            reason = getattr(exc, "strerror", None) or str(exc)
            os.write(output, f"cyme: cannot run it: {reason}\n".encode("utf-8", "replace"))
            os._exit(code)


def become(wanted: dict[str, Any], output: int, keeper: int) -> NoReturn:
    """Be the job."""
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    environment = {**wanted["environment"]}
    entry = become_user(wanted["user"])
    named = {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
    # Only now: the kernel clears it when the user changes.
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != keeper:
        os._exit(EX_NOT_EXECUTABLE)
    environment = {**named, **environment}
    try:
        os.chdir(environment["HOME"])
    except OSError:
        os.chdir("/")
    signal.set_wakeup_fd(-1)
    # Whatever the runner was started by ignores is none of the job's: a shell, of what
    # it has in the background, SIGINT and SIGQUIT.
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    os.execvpe(wanted["argv"][0], wanted["argv"], environment)


def become_user(user: str | None) -> pwd.struct_passwd:
    if user is None:
        try:
            return pwd.getpwuid(os.getuid())
        except KeyError:
            return pwd.struct_passwd((str(os.getuid()), "", os.getuid(), os.getgid(), "", "/", ""))
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except (KeyError, OverflowError):
        raise ValueError(f"there is no user {user!r} on this host") from None
    if os.geteuid() == 0:
        os.initgroups(entry.pw_name, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    elif os.geteuid() != entry.pw_uid:
        raise ValueError(f"only root can run a job as {user!r}")
    return entry


def descendants() -> set[int]:
    """All processes below this one that have not ended."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                # A program's name can have spaces and brackets in it.
                state, parent = file.read().rpartition(b")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if state not in (b"Z", b"X"):
            children.setdefault(int(parent), []).append(int(name))
    found: set[int] = set()
    left = [os.getpid()]
    while left:
        for each in children.get(left.pop(), ()):
            if each not in found:
                found.add(each)
                left.append(each)
    return found


def signal_all(number: int) -> bool:
    """Send it to everything below; whether there was anything."""
    if not has_children():
        return False
    found = descendants()
    for pid in found:
        send(pid, number)
    return bool(found)


def has_children() -> bool:
    """Looking through all processes is slow where there are many; mostly there is nothing."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def say(what: dict[str, Any]) -> None:
    try:
        os.write(1, json.dumps(what).encode() + b"\n")
    except BrokenPipeError:
        # The runner is gone: nobody hears how it ended.
        return


def main() -> None:
    os.umask(0o077)
    with os.fdopen(os.dup(0), "rb", buffering=0) as given:
        line = bytearray()
        while not line.endswith(b"\n"):
            piece = given.read(65536)
            if not piece:
                sys.exit("cyme keeper: nothing to run")
            line += piece
    Keeper(json.loads(line)).run()


if __name__ == "__main__":
    main()
