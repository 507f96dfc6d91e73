"""What to look at next.

It carries names, never events: what happened is seen by looking. A name
that is put many times before it is taken is looked at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from cyme_supd.clock import Clock


@dataclass(frozen=True, slots=True)
class Work:
    """Names to look at; ``is_hinted``: also at every new spec; ``is_full``: at all."""

    names: frozenset[str] = frozenset()
    is_hinted: bool = False
    is_full: bool = False


class WorkQueue:
    """Names to look at now or later, from any thread; one thread takes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wakeup = threading.Condition()
        self._names: set[str] = set()
        self._later: dict[str, float] = {}
        self._is_hinted = False
        self._is_full = False

    def put(self, names: Iterable[str]) -> None:
        with self._wakeup:
            self._names.update(names)
            self._wakeup.notify()

    def put_later(self, name: str, delay_s: float) -> None:
        """Look at *name* again in *delay_s*, or sooner if that is wished for already."""
        due = self._clock.monotonic() + delay_s
        with self._wakeup:
            self._later[name] = min(due, self._later.get(name, due))
            self._wakeup.notify()

    def hint(self) -> None:
        """Somebody stored something; nobody says what."""
        with self._wakeup:
            self._is_hinted = True
            self._wakeup.notify()

    def resync(self) -> None:
        """Look at everything."""
        with self._wakeup:
            self._is_full = True
            self._wakeup.notify()

    def take(self, timeout_s: float) -> Work:
        """All that is due; waits at most *timeout_s* for there to be something."""
        with self._wakeup:
            deadline = self._clock.monotonic() + timeout_s
            while not self._is_due():
                now = self._clock.monotonic()
                if now >= deadline:
                    break
                self._wakeup.wait(min([deadline, *self._later.values()]) - now)
            return self._take()

    def _is_due(self) -> bool:
        now = self._clock.monotonic()
        is_later_due = any(due <= now for due in self._later.values())
        return bool(self._names) or self._is_hinted or self._is_full or is_later_due

    def _take(self) -> Work:
        now = self._clock.monotonic()
        due = {name for name, at in self._later.items() if at <= now}
        for name in due:
            del self._later[name]
        work = Work(frozenset(self._names | due), self._is_hinted, self._is_full)
        self._names.clear()
        self._is_hinted = self._is_full = False
        return work
