"""Signs of life of the branch's threads."""

from __future__ import annotations

import threading

from cyme_supd.clock import Clock

#: A thread that has not moved for this long is taken for dead.
STUCK_S = 60.0


class Beats:
    """When each named thread last moved, and which of them no longer do."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}

    def beat(self, name: str) -> None:
        with self._lock:
            self._last[name] = self._clock.monotonic()

    def retire(self, name: str) -> None:
        """This thread may end: nobody waits for its beat any more."""
        with self._lock:
            self._last.pop(name, None)

    def ages(self) -> dict[str, float]:
        """Seconds since each thread last moved."""
        now = self._clock.monotonic()
        with self._lock:
            return {name: now - last for name, last in self._last.items()}

    def stuck(self) -> list[str]:
        """Threads that ended, or made no progress for a minute."""
        alive = {thread.name for thread in threading.enumerate()}
        return sorted(
            name for name, age in self.ages().items() if age > STUCK_S or name not in alive
        )
