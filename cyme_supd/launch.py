"""Becomes a program of the branch's tree: ``python -I -S launch.py DIRECTORY``.

supervisord runs this instead of the program itself, so that nothing a user
typed, and no secret, is in a section or on a command line. The standard
library alone, run by path: what lies in the current directory is never
imported.

``DIRECTORY/launch.json``::

    {"argv": ["celery", ...],        what to become
     "environment": {"A": "1"},      on top of what is inherited
     "directory": null,              to work in; null: DIRECTORY
     "user": null,                   to become; needs root
     "boot": null,                   for the worker's first module, as CYME_BOOT;
                                     its "path" goes in front of PYTHONPATH
     "identity": "sha256...",        repeated in running.json
     "digest": "sha256...",          not used here
     "death_signal": "TERM",         what to get when supervisord dies; or "KILL"
     "log": true,                    open DIRECTORY/worker.log on 1 and 2
     "notifies": false}              the one that tells the service manager

It leaves ``running.json`` (``{"pid", "started_at", "identity"}``) and
``worker.pid`` beside it. Whatever goes wrong is one line on standard error
and a code of sysexits.h; 126 and 127 are the shell's, for what cannot be
executed and what is not there.
"""

from __future__ import annotations

# All that is needed, here: who becomes another user may not be able to read
# this Python's library any more.
import ctypes
import errno
import fcntl
import json
import os
import pwd
import signal
import sys
import time
import warnings  # noqa: F401  (imported by os while it looks for a program)

# typing is slow to import, and every start of a worker would wait for it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

EX_USAGE, EX_DATAERR, EX_NOINPUT, EX_NOUSER, EX_UNAVAILABLE = 64, 65, 66, 67, 69
EX_OSERR, EX_CANTCREAT, EX_TEMPFAIL, EX_NOPERM, EX_CONFIG = 71, 73, 75, 77, 78
EX_NOT_EXECUTABLE, EX_NOT_FOUND = 126, 127

#: Less than the startsecs of a worker's section, so that one who waits in
#: vain shows as BACKOFF and never as RUNNING.
LOCK_WAIT_S = 8.0
LOG_SIZE = 5 * 1024 * 1024

#: Put into supervisord's environment by the extension inside it.
SUPERVISORD_PID = "CYME_SUPERVISORD_PID"
MARKER = "CYME_LAUNCH_DIRECTORY"

_PR_SET_PDEATHSIG = 1
_DEATH_SIGNALS = {"TERM": signal.SIGTERM, "KILL": signal.SIGKILL}


class Failure(Exception):
    """What ends the launch: the exit code and the line that says why."""

    def __init__(self, code: int, line: str) -> None:
        super().__init__(line)
        self.code = code
        self.line = line


def main(argv: list[str]) -> NoReturn:
    parent = _parent(os.environ)
    try:
        if len(argv) != 2 or not os.path.isabs(argv[1]):
            raise Failure(EX_USAGE, "usage: launch.py DIRECTORY (an absolute path)")
        launch(argv[1], parent)
    except Failure as failure:
        _say(failure.line)
        code = failure.code
    sys.exit(code)


def launch(directory: str, parent: int) -> NoReturn:
    """Become what ``launch.json`` in *directory* says; raises :exc:`Failure`."""
    # The lock before the file: who waited reads what is wanted now.
    lock = _take_lock(directory)
    wanted = read(directory)
    if wanted["log"]:
        _open_log(os.path.join(directory, "worker.log"))
    _write_running(directory, wanted)
    # While still root: the folder is nobody else's to enter.
    _change_directory(directory)
    user = {} if wanted["user"] is None else _become(wanted["user"])
    environment = environ(wanted, directory, {**os.environ, **user})
    # Only now: the kernel clears it when the user changes.
    _die_with(parent, wanted["death_signal"])
    if wanted["directory"] is not None:
        _change_directory(wanted["directory"])
    # Kept open and locked through exec, for as long as the process lives.
    os.set_inheritable(lock, True)
    _execute(wanted["argv"], environment)


def read(directory: str) -> dict[str, Any]:
    """The launch file in *directory*, checked, with its defaults filled in."""
    path = os.path.join(directory, "launch.json")
    try:
        with open(path, "rb") as file:
            wanted = json.load(file)
    except OSError as exc:
        raise Failure(EX_NOINPUT, f"cannot read {path}: {exc.strerror}") from None
    except (ValueError, RecursionError) as exc:
        raise Failure(EX_DATAERR, f"{path} is not JSON: {exc}") from None
    if not isinstance(wanted, dict):
        raise Failure(EX_DATAERR, f"{path} holds no object")
    wanted = {**_DEFAULTS, **wanted}
    for key, check in _CHECKS.items():
        if not check(wanted[key]):
            raise Failure(EX_DATAERR, f"{path}: {key!r} is not as it should be")
    return wanted


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_text_or_none(value: Any) -> bool:
    return value is None or (_is_text(value) and value != "")


def _is_argv(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_text, value)) and value[0] != ""


def _is_environment(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _is_text(text) and name and "\0" not in name and "=" not in name
        for name, text in value.items()
    )


def _is_boot(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and _is_text(value.get("path", "")))


_DEFAULTS: dict[str, Any] = {
    "argv": None,
    "environment": {},
    "directory": None,
    "user": None,
    "boot": None,
    "identity": "",
    "death_signal": "TERM",
    "log": True,
    "notifies": False,
}
_CHECKS: dict[str, Callable[[Any], bool]] = {
    "argv": _is_argv,
    "environment": _is_environment,
    "directory": _is_text_or_none,
    "user": _is_text_or_none,
    "boot": _is_boot,
    "identity": _is_text,
    "death_signal": lambda value: isinstance(value, str) and value in _DEATH_SIGNALS,
    "log": lambda value: isinstance(value, bool),
    "notifies": lambda value: isinstance(value, bool),
}


def environ(wanted: dict[str, Any], directory: str, inherited: Any) -> dict[str, str]:
    """The environment of what is launched."""
    result = {**inherited, **wanted["environment"], MARKER: directory}
    result.pop(SUPERVISORD_PID, None)
    if not wanted["notifies"]:
        # gunicorn would say that the service is ready, and a task could.
        result.pop("NOTIFY_SOCKET", None)
    if wanted["boot"] is not None:
        result["CYME_BOOT"] = json.dumps(wanted["boot"])
        path = [wanted["boot"].get("path", ""), result.get("PYTHONPATH", "")]
        result["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    return result


def _parent(environment: Any) -> int:
    """Who must be our parent for as long as we live.

    Whoever is the parent now may already be the one that adopted us.
    """
    given = environment.get(SUPERVISORD_PID, "")
    return int(given) if given.isdecimal() else os.getppid()


def _take_lock(directory: str) -> int:
    """Lock the directory's ``lock``: whoever has it is the one that runs.

    A record lock: it belongs to this process, survives exec, ends with the
    process and is not inherited by what the process starts, so that nothing
    a task leaves behind can keep the next worker from starting.
    """
    path = os.path.join(directory, "lock")
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as exc:
        raise Failure(EX_CANTCREAT, f"cannot open {path}: {exc.strerror}") from None
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except OSError as exc:
            if exc.errno not in (errno.EACCES, errno.EAGAIN):
                raise Failure(EX_OSERR, f"cannot lock {path}: {exc.strerror}") from None
        if time.monotonic() >= deadline:
            line = f"{path} is held by process {_holder(lock)}: it has not ended yet"
            raise Failure(EX_TEMPFAIL, line)
        time.sleep(0.02)


def _holder(lock: int) -> str:
    import struct

    # struct flock: type, whence, start, length, pid
    layout = "hhqqi4x" if struct.calcsize("P") == 8 else "hhqqi"
    try:
        asked = struct.pack(layout, fcntl.F_WRLCK, 0, 0, 0, 0)
        return str(struct.unpack(layout, fcntl.fcntl(lock, fcntl.F_GETLK, asked))[4])
    except (OSError, struct.error):
        return "?"


def _open_log(path: str) -> None:
    """Put the log on 1 and 2; a full one is moved aside first."""
    try:
        if os.path.exists(path) and os.path.getsize(path) > LOG_SIZE:
            os.rename(path, path + ".1")
        log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError as exc:
        raise Failure(EX_CANTCREAT, f"cannot open {path}: {exc.strerror}") from None
    os.dup2(log, 1)
    os.dup2(log, 2)
    if log > 2:
        os.close(log)


def _write_running(directory: str, wanted: dict[str, Any]) -> None:
    pid = os.getpid()
    running = {"pid": pid, "started_at": time.time(), "identity": wanted["identity"]}
    _write(os.path.join(directory, "running.json"), json.dumps(running))
    _write(os.path.join(directory, "worker.pid"), f"{pid}\n")


def _write(path: str, text: str) -> None:
    """By rename: a reader sees the old or the new, never half of one."""
    temporary = path + ".tmp"
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(text)
        os.rename(temporary, path)
    except OSError as exc:
        _discard(temporary)
        raise Failure(EX_CANTCREAT, f"cannot write {path}: {exc.strerror}") from None


def _discard(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        # It was never made, or nothing can be changed on that disk.
        return


def _become(user: str) -> dict[str, str]:
    """Drop to *user*; what that changes in the environment comes back."""
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except (KeyError, OverflowError):
        raise Failure(EX_NOUSER, f"there is no user {user!r} on this host") from None
    if os.geteuid() not in (0, entry.pw_uid):
        raise Failure(EX_NOPERM, f"only root can run a worker as {user!r}")
    if os.geteuid() == 0:
        try:
            os.initgroups(entry.pw_name, entry.pw_gid)
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
        except OSError as exc:
            raise Failure(EX_OSERR, f"cannot become {user!r}: {exc.strerror}") from None
    return {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}


def _die_with(parent: int, name: str) -> None:
    """Have the kernel signal this process when supervisord is gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, _DEATH_SIGNALS[name], 0, 0, 0) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise Failure(EX_OSERR, f"cannot tie this process to supervisord: {reason}")
    # It may have died before the line above.
    if os.getppid() != parent:
        raise Failure(EX_UNAVAILABLE, f"supervisord ({parent}) is gone: not started")


def _change_directory(directory: str) -> None:
    try:
        os.chdir(directory)
    except OSError as exc:
        raise Failure(EX_CONFIG, f"cannot work in {directory}: {exc.strerror}") from None


def _execute(argv: list[str], environment: dict[str, str]) -> NoReturn:
    # Python ignores these two, and what is ignored stays so through exec.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(argv[0], argv, environment)
    except FileNotFoundError as exc:
        raise Failure(EX_NOT_FOUND, f"cannot run {argv[0]}: {exc.strerror}") from None
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        raise Failure(EX_NOT_EXECUTABLE, f"cannot run {argv[0]}: {reason}") from None


def _say(line: str) -> None:
    text = line.encode("utf-8", "backslashreplace").replace(b"\n", b"\\n")
    os.write(2, b"cyme launcher: " + text + b"\n")


if __name__ == "__main__":
    main(sys.argv)
