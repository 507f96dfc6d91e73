"""A program that is killed, or told that the disk is full, at one system call after the other."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import services

CHECKOUT = Path(__file__).parents[2]
_CALL = re.compile(r"^(?:\[pid +)?\d+\]? +(\w+)\(", re.MULTILINE)
#: What changes nothing on the disk.
_HARMLESS = {"newfstatat", "fstat", "stat", "lstat", "statx", "ioctl", "lseek", "access"}
_HARMLESS |= {"fcntl", "read", "readlink", "getdents64", "faccessat2", "statfs"}


@dataclass(frozen=True)
class Point:
    """The *count*-th call of that name, from 1."""

    call: str
    count: int


@dataclass(frozen=True)
class Writer:
    """Python that writes into the folder that is its argument.

    Only calls that are about *names* in that folder, or the folder, count.
    """

    code: str
    names: Sequence[str]

    def points(self, folder: Path) -> list[Point]:
        """Every call that changes something, as an undisturbed run makes them."""
        done = self._run(folder, [])
        assert done.returncode == 0, done.stderr
        counts: Counter[str] = Counter()
        found = []
        for call in _CALL.findall((folder.parent / "calls").read_text()):
            counts[call] += 1
            if call not in _HARMLESS:
                found.append(Point(call, counts[call]))
        return found

    def killed_at(self, point: Point, folder: Path) -> subprocess.CompletedProcess[str]:
        return self._run(folder, [f"inject={point.call}:signal=KILL:when={point.count}"])

    def refused_at(
        self, point: Point, error: str, folder: Path
    ) -> subprocess.CompletedProcess[str]:
        """The call fails, and so do all others of its name that come after."""
        return self._run(folder, [f"inject={point.call}:error={error}:when={point.count}+"])

    def undisturbed(self, folder: Path) -> None:
        done = self._run(folder, [])
        assert done.returncode == 0, done.stderr

    def _run(self, folder: Path, expressions: list[str]) -> subprocess.CompletedProcess[str]:
        paths = [folder, *(folder / name for name in self.names)]
        return subprocess.run(
            [
                services.program("strace", "strace"),
                *("-f", "-o", str(folder.parent / "calls")),
                *(word for path in paths for word in ("-P", str(path))),
                *(word for each in expressions for word in ("-e", each)),
                *(sys.executable, "-c", self.code, str(folder)),
            ],
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
