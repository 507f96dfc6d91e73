"""Processes and ports as the kernel sees them."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.support import eventually


def with_a_foot_in(*needles: str) -> list[int]:
    """Processes that have one of *needles* in their command line or environment,
    or work in a folder of that name.

    A program that sets its title may thereby overwrite its environment.
    """
    wanted = [os.fsencode(needle) for needle in needles]
    return [pid for pid in _pids() if any(_has_a_foot_in(pid, needle) for needle in wanted)]


def mains(node: str) -> list[int]:
    """Processes that are the worker of this node name.

    Not those of its pool, which are in its process group, nor what its
    tasks left behind.
    """
    wanted = os.fsencode(node)
    return [pid for pid in _pids() if wanted in _read(pid, "cmdline") and _leads_a_group(pid)]


@contextmanager
def most_mains(node: str) -> Iterator[list[int]]:
    """The largest number of workers of that name that were there at once, in a list."""
    most, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.03):
            most[0] = max(most[0], len(mains(node)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        done.set()
        watcher.join()


def is_running(pid: int) -> bool:
    """Whether it has not ended; one that waits to be reaped has."""
    with suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
        return state not in (b"Z", b"X")
    return False


def uids(pid: int) -> set[int]:
    """Real, effective, saved and file system user of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("Uid:")]
    return {int(word) for word in line.split()[1:]}


def parent(pid: int) -> int:
    return psutil.Process(pid).ppid()


def age_s(pid: int) -> float:
    """By the kernel's own clock, in its ticks."""
    started = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    now = float(Path("/proc/uptime").read_text().split()[0])
    return now - started / os.sysconf("SC_CLK_TCK")


def cmdline(pid: int) -> str:
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()


def described(pid: int) -> str:
    return f"{pid}: {cmdline(pid)}"


def kill(pid: int, number: signal.Signals = signal.SIGKILL, within_s: float = 10.0) -> None:
    """Signal a process and see it end."""
    os.kill(pid, number)
    eventually(lambda: not is_running(pid), within_s)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """It does nothing meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def kill_all(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _pids() -> list[int]:
    return [
        int(entry)
        for entry in os.listdir("/proc")
        if entry.isdigit() and int(entry) != os.getpid() and is_running(int(entry))
    ]


def _has_a_foot_in(pid: int, needle: bytes) -> bool:
    if needle in _read(pid, "cmdline") or needle in _read(pid, "environ"):
        return True
    with suppress(OSError):
        return os.fsencode(os.readlink(f"/proc/{pid}/cwd")).startswith(needle)
    return False


def _read(pid: int, name: str) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_bytes()
    return b""


def _leads_a_group(pid: int) -> bool:
    with suppress(ProcessLookupError):
        return os.getpgid(pid) == pid
    return False
