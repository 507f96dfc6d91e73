"""What runs printed, on the host that ran them: ``<root>/runs/<job>/<run>.log``.

Of a run that was tried several times here this is the last attempt; the ones before
are ``<run>.1.log``, ``<run>.2.log``, and so on.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

KEPT = 100
MAX_AGE_S = 90 * 86400.0


class Logs:
    """Of all jobs that run below one root; the names were checked when they came in."""

    def __init__(self, root: str | Path, kept: int = KEPT, max_age_s: float = MAX_AGE_S) -> None:
        self._runs = Path(root).absolute() / "runs"
        self._kept = kept
        self._max_age_s = max_age_s

    def path(self, job: str, run: str) -> Path:
        return self._runs / job / f"{run}.log"

    def prepare(self, job: str, run: str) -> Path:
        """The path for *run*, in a folder that is there."""
        for folder in (self._runs, self._runs / job):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.path(job, run)
        if path.exists():
            earlier = (path.with_name(f"{run}.{number}.log") for number in count(1))
            os.rename(path, next(each for each in earlier if not each.exists()))
        return path

    def prune(self, job: str) -> None:
        """Remove what is old, and all but the latest."""
        found = []
        for path in (self._runs / job).glob("*.log"):
            with suppress(OSError):
                found.append((path.stat().st_mtime, path))
        found.sort(reverse=True)
        oldest = time.time() - self._max_age_s
        for number, (at, path) in enumerate(found):
            if number >= self._kept or at < oldest:
                path.unlink(missing_ok=True)


def tail(path: Path, most: int) -> tuple[int, bytes]:
    """How long the file is, and its last *most* bytes; nothing where there is none yet."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most))
            return size, file.read(most)
    except OSError:
        return 0, b""
