"""Who may act on a root directory: one branch at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from cyme_supd.config import Paths
from cyme_supd.errors import Conflict, Unavailable
from cyme_supd.launch import MARKER

#: How long programs of a supervisord that was killed may take to follow it.
LEFTOVER_S = 5.0
#: supervisord closes everything from 5 on when it is told to reload.
_DESCRIPTOR = 3


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


def end_leftovers(paths: Paths) -> None:
    """Wait for broker, web and branch of a supervisord that was killed; then kill them.

    Only with the root's lock in hand: these are then nobody's. Workers are
    left alone: they end warmly, and their own locks keep the next ones
    waiting until they have.
    """
    deadline = time.monotonic() + LEFTOVER_S
    while left := list(_leftovers(paths)):
        if time.monotonic() >= deadline + LEFTOVER_S:
            raise Unavailable(f"processes {left} of an earlier branch on {paths.root} do not end")
        if time.monotonic() >= deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _leftovers(paths: Paths) -> Iterator[int]:
    wanted = f"{MARKER}={paths.programs}/".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                environment = (entry / "environ").read_bytes().split(b"\0")
                if any(variable.startswith(wanted) for variable in environment):
                    yield int(entry.name)
