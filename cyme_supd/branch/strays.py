"""What workers have left behind on this host, as the kernel has it.

Whatever a worker starts inherits the folder it was launched in, in its
environment. Below supervisord it has a program; detached from there it is
its worker's as long as that runs, and nobody's from then on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cyme_supd.branch import host
from cyme_supd.clock import Clock
from cyme_supd.domain.orphans import Stray

MOST_OF_A_COMMAND = 300


@dataclass(frozen=True, slots=True)
class _Process:
    """``started`` is in the kernel's ticks since the host came up."""

    parent: int
    started: int


class HostStrays:
    """:class:`cyme_supd.domain.ports.Strays` of the workers launched below *instances*.

    *supervisord* is the process that keeps them.
    """

    def __init__(self, instances: Path, supervisord: int, clock: Clock) -> None:
        self._instances = instances
        self._supervisord = supervisord
        self._clock = clock

    def strays(self) -> list[Stray]:
        table = dict(_processes())
        detached = {
            pid: name
            for pid in sorted(table)
            if not self._is_kept(pid, table) and (name := self._instance(pid))
        }
        workers = {name: self._worker(name, table) for name in set(detached.values())}
        found = (
            self._stray(pid, name, table[pid], workers[name] is not None)
            for pid, name in detached.items()
            if _is_left(pid, detached, table, workers)
        )
        return [stray for stray in found if stray.command]

    def _is_kept(self, pid: int, table: Mapping[int, _Process]) -> bool:
        return any(parent == self._supervisord for parent in _line(pid, table))

    def _instance(self, pid: int) -> str:
        """Whose worker it was launched for; empty where it is none of ours."""
        folder = host.launch_directory(pid)
        is_ours = folder is not None and folder.parent == self._instances
        return folder.name if folder is not None and is_ours else ""

    def _worker(self, name: str, table: Mapping[int, _Process]) -> _Process | None:
        """The instance's worker that runs now."""
        with suppress(OSError, ValueError):
            pid = int((self._instances / name / "worker.pid").read_text())
            return table.get(pid) if self._is_kept(pid, table) else None
        return None

    def _stray(self, pid: int, name: str, process: _Process, has_worker: bool) -> Stray:
        age = timedelta(seconds=max(0.0, host.age_s(process.started)))
        since = (self._clock.now() - age).replace(microsecond=0)
        return Stray(pid, name, _command(pid), since, has_worker)


def _is_left(
    pid: int,
    detached: Mapping[int, str],
    table: Mapping[int, _Process],
    workers: Mapping[str, _Process | None],
) -> bool:
    """Whether it, or one above it that is detached too, was there before the worker is."""
    for each in _line(pid, table):
        if each in detached:
            worker = workers[detached[each]]
            if worker is None or table[each].started <= worker.started:
                return True
    return False


def _line(pid: int, table: Mapping[int, _Process]) -> Iterator[int]:
    """The process, its parent, its parent's parent, and so on."""
    seen: set[int] = set()
    while pid in table and pid not in seen:
        # The table was not written in one moment: it may go round.
        seen.add(pid)
        yield pid
        pid = table[pid].parent


def _processes() -> Iterator[tuple[int, _Process]]:
    for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))):
        fields = host.stat(pid)
        if fields and fields[0] not in ("Z", "X"):
            yield pid, _Process(parent=int(fields[1]), started=int(fields[19]))


def _command(pid: int) -> str:
    """Its command line; empty once it has ended."""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        text = b" ".join(words).decode("utf-8", "backslashreplace")
        return text if len(text) <= MOST_OF_A_COMMAND else f"{text[:MOST_OF_A_COMMAND]}..."
    return ""
