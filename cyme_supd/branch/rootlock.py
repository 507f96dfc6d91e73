"""Who may act on a root directory: one branch at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import struct
import time
from collections.abc import Collection, Iterator

from cyme_supd.branch.host import launch_directory
from cyme_supd.config import Paths
from cyme_supd.errors import Conflict, Unavailable

#: How long programs of a supervisord that was killed may take to follow it.
LEFTOVER_S = 5.0
#: supervisord closes everything from 5 on when it is told to reload.
_DESCRIPTOR = 3
#: ``struct flock``: type, whence, start, length, pid.
_FLOCK = "hhqqi4x"


def lock_root(paths: Paths) -> None:
    """Take the root's lock, kept through ``exec``; ``Conflict`` where another has it.

    A record lock: it ends with the process and is inherited by none, so
    that a worker that outlives supervisord does not keep the root.
    """
    opened = os.open(paths.lock, os.O_RDWR | os.O_CREAT, 0o600)
    # Moved before it is locked: to close any descriptor of the file would
    # drop the lock.
    if opened != _DESCRIPTOR:
        os.dup2(opened, _DESCRIPTOR)
        os.close(opened)
    os.set_inheritable(_DESCRIPTOR, True)
    try:
        fcntl.lockf(_DESCRIPTOR, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(_DESCRIPTOR)
        if exc.errno not in (errno.EACCES, errno.EAGAIN):
            raise
        raise Conflict(
            f"another cyme-branch runs on {paths.root}",
            "stop that one, or choose another root with --instance-dir",
        ) from None


def holder(paths: Paths) -> int | None:
    """The process that has the root's lock, supervisord's; ``None`` where nobody has.

    It only looks: who takes the lock for that would keep a branch from starting.
    """
    try:
        looked = os.open(paths.lock, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, *_, pid = struct.unpack(_FLOCK, fcntl.fcntl(looked, fcntl.F_GETLK, asked))
    finally:
        os.close(looked)
    return None if kind == fcntl.F_UNLCK else int(pid)


def end_leftovers(paths: Paths, kept: Collection[int] = ()) -> None:
    """Wait for broker, web and branch of a supervisord that was killed; then kill them.

    Not those *kept* by one that lives. Only with the root's lock in hand: these
    are then nobody's. Workers are left alone: they end warmly, and their own
    locks keep the next ones waiting until they have.
    """
    deadline = time.monotonic() + LEFTOVER_S
    while left := [pid for pid in _leftovers(paths) if pid not in kept]:
        if time.monotonic() >= deadline + LEFTOVER_S:
            raise Unavailable(f"processes {left} of an earlier branch on {paths.root} do not end")
        if time.monotonic() >= deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _leftovers(paths: Paths) -> Iterator[int]:
    for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))):
        folder = launch_directory(pid) if pid != os.getpid() else None
        if folder is not None and folder.parent == paths.programs:
            yield pid
