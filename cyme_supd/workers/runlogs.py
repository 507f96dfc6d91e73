"""What runs have printed on this host: ``<root>/runs/<job>/<run>.log``, for those who read it."""

from __future__ import annotations

import os
from pathlib import Path

from cyme_supd.domain.tail import Piece, Place
from cyme_supd.errors import Unavailable
from cyme_supd.workers.launches import piece


class RunLogFiles:
    """Of all runs below one root; job and run are ids that the store has given."""

    def __init__(self, root: str | Path) -> None:
        self._runs = Path(root) / "runs"

    def read(self, job: str, run: str, place: Place | None, size: int) -> Piece | None:
        try:
            with open(self._path(job, run), "rb") as file:
                return piece(file, place, size)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise _unreadable(run, exc) from exc

    def part(self, job: str, run: str, begin: int | None, size: int) -> tuple[int, bytes] | None:
        try:
            with open(self._path(job, run), "rb") as file:
                length = file.seek(0, os.SEEK_END)
                file.seek(max(0, length - size) if begin is None else min(begin, length))
                return length, file.read(size)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise _unreadable(run, exc) from exc

    def _path(self, job: str, run: str) -> Path:
        return self._runs / job / f"{run}.log"


def _unreadable(run: str, exc: OSError) -> Unavailable:
    return Unavailable(f"cannot read what run {run} has printed: {exc.strerror}")
