"""How many tasks a worker holds: more of them while they are quick.

Those that have ended count until the broker keeps their reports. Where tasks
end faster than that takes, they would leave the pool without work; where they
are slow, what a worker holds waits although another may be free.
"""

from __future__ import annotations

from typing import Any

#: Besides what the prefetch multiplier says.
EXTRA = 12
#: So many that end within a second are quick.
QUICK = 50
LOOK_EVERY_S = 1.0


class Holding:
    """Of one connection's consumer, in the main process's one thread."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._ended = 0
        self._is_wide = False
        self._is_looking = False

    @property
    def most(self) -> int:
        """Tasks the worker may hold; 0 for any number, or where it takes none yet."""
        return int(self._consumer.qos.value) if self._consumer.qos else 0

    def ended(self) -> None:
        """A task has; it is reported and acknowledged later."""
        self._ended += 1
        if not self._is_looking:
            self._is_looking = True
            self._consumer.hub.call_later(LOOK_EVERY_S, self._look)
        if self._ended >= QUICK and not self._is_wide and self.most:
            self._is_wide = True
            # The consumer's loop tells the broker.
            self._consumer.qos.increment_eventually(EXTRA)

    def _look(self) -> None:
        if self._is_wide and self._ended < QUICK:
            self._is_wide = False
            self._consumer.qos.decrement_eventually(EXTRA)
        self._is_looking = self._is_wide
        self._ended = 0
        if self._is_looking:
            self._consumer.hub.call_later(LOOK_EVERY_S, self._look)
