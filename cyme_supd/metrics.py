"""Counting: in memory, and where a branch has many processes, brought together by files."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
from bisect import bisect_left
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cyme_supd.clock import Clock
from cyme_supd.domain.metrics import Family, Key, Totals, is_known, summed

log = logging.getLogger(__name__)

WRITTEN_EVERY_S = 1.0
#: What a process said of how something is, and no longer says: it may have died.
FORGOTTEN_AFTER_S = 30.0
#: Processes of one program at a time; more of them are not counted.
MOST_PROCESSES = 64

Gauges = Mapping[Key, float]


class Metrics:
    """What this process counts, from any thread; costs a microsecond and raises nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[Key, list[float]] = {}

    def count(self, family: Family, *labels: str, by: float = 1.0) -> None:
        with self._lock:
            self._row(family, labels)[0] += by

    def time(self, family: Family, seconds: float, *labels: str) -> None:
        with self._lock:
            row = self._row(family, labels)
            row[bisect_left(family.bounds, seconds)] += 1.0
            row[-1] += seconds

    def counts(self) -> dict[Key, tuple[float, ...]]:
        with self._lock:
            return {key: tuple(row) for key, row in self._rows.items()}

    def totals(self) -> Totals:
        """What all processes of the branch have counted, as far as is known here."""
        return Totals(self.counts())

    def add(self, counts: Mapping[Key, tuple[float, ...]]) -> None:
        """Go on from what was counted before."""
        with self._lock:
            own = {key: tuple(row) for key, row in self._rows.items()}
            self._rows = {key: list(row) for key, row in summed([own, counts]).items()}

    def _row(self, family: Family, labels: tuple[str, ...]) -> list[float]:
        row = self._rows.get((family.name, labels))
        if row is None:
            row = self._rows[family.name, labels] = [0.0] * family.width
        return row


class KeptMetrics(Metrics):
    """``metrics/<program>-<n>.json`` in the root, one file for each process::

        {"at": epoch seconds,
         "counts": [[name, [label, ...], [number, ...]], ...],
         "gauges": [[name, [label, ...], [number]], ...]}

    A process has the lowest number that no other has, by a lock, and goes on
    from what is in that file: so counts never sink while processes come and
    go, and there are no more files than there were processes at a time. What
    was counted in the second before a process was killed is lost.

    *gauges* says how things are; it is asked before each write.
    """

    def __init__(
        self, folder: Path, program: str, clock: Clock, gauges: Callable[[], Gauges] = dict
    ) -> None:
        super().__init__()
        self._folder = folder
        self._program = program
        self._clock = clock
        self._gauges = gauges
        self._file: Path | None = None
        self._written: Any = None
        # Who ends writes once more, and the thread may be at it.
        self._saving = threading.Lock()
        self._has_failed = False

    def totals(self) -> Totals:
        """By the files alone, so that whichever process is asked says the same."""
        found = [_read(path) for path in sorted(self._folder.glob("*-*.json"))]
        now = self._clock.now().timestamp()
        gauges: dict[Key, float] = {}
        for at, _, said in found:
            if now - at <= FORGOTTEN_AFTER_S:
                gauges.update({key: row[0] for key, row in said.items()})
        return Totals(summed(counts for _, counts, _ in found), gauges)

    def start(self) -> None:
        """Write from now on, by a thread; after any fork."""
        threading.Thread(target=self._run, name="metrics", daemon=True).start()

    def _run(self) -> None:
        never = threading.Event()
        while not never.wait(WRITTEN_EVERY_S):
            self.save()

    def save(self) -> None:
        """Write down what has changed; a failure costs nobody anything else."""
        with self._saving:
            self._save()

    def _save(self) -> None:
        try:
            file = self._file or self._take_file()
            content = {"counts": _listed(self.counts()), "gauges": self._listed_gauges()}
            if content["gauges"] or content != self._written:
                self._write(file, {"at": self._clock.now().timestamp(), **content})
                self._written = content
            self._has_failed = False
        except Exception as exc:
            # On a full disk it is tried again each second, and told once.
            level = logging.DEBUG if self._has_failed else logging.WARNING
            self._has_failed = True
            log.log(level, "what was counted is not written: %r", exc)

    def _listed_gauges(self) -> list[Any]:
        return _listed({key: (value,) for key, value in self._gauges().items()})

    def _take_file(self) -> Path:
        """The file of this process, whose number is free again when the process ends."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for number in range(MOST_PROCESSES):
            path = self._folder / f"{self._program}-{number}"
            descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            self._file = path.with_suffix(".json")
            self.add(_read(self._file)[1])
            return self._file
        raise OSError(f"{MOST_PROCESSES} processes of {self._program} run already")

    def _write(self, path: Path, content: Any) -> None:
        # Not waiting for the disk: after a crash of the host counts begin anew.
        temporary = path.with_suffix(".tmp")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(content, file)
            temporary.rename(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise


_Rows = dict[Key, tuple[float, ...]]


def _listed(rows: Mapping[Key, tuple[float, ...]]) -> list[Any]:
    return [[name, list(labels), list(row)] for (name, labels), row in sorted(rows.items())]


def _read(path: Path) -> tuple[float, _Rows, _Rows]:
    """When it was written, counts and gauges; nothing of a file that cannot be read."""
    try:
        content = json.loads(path.read_bytes())
        counts, gauges = _rows(content["counts"]), _rows(content["gauges"])
        return float(content["at"]), counts, gauges
    except FileNotFoundError:
        pass
    except (OSError, KeyError, RecursionError, TypeError, ValueError) as exc:
        log.debug("%s is not used: %r", path, exc)
    return 0.0, {}, {}


def _rows(listed: Any) -> _Rows:
    rows = {
        (str(name), tuple(map(str, labels))): tuple(map(float, row)) for name, labels, row in listed
    }
    return {key: row for key, row in rows.items() if is_known(key, row)}
