"""A broker's pulse: messages of our own that should come back through it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from uuid import uuid4

from cyme_supd.clock import Clock
from cyme_supd.domain.status import Pulse

log = logging.getLogger(__name__)

#: A message that is not back by then: its broker does not pass any on.
LATE_S = 3.0


class Lost(OSError):
    """A message did not come back since this connection was made: it may be dead."""


class PulseWatch:
    """What the threads of one broker know of it together.

    ``on_change()`` is called when the broker comes or goes. ``losses`` counts
    messages that did not come back: connections of before may be open and
    dead, for a broker that vanishes without a word closes none.
    """

    def __init__(self, broker: str, clock: Clock, on_change: Callable[[], None]) -> None:
        self._broker = broker
        self._clock = clock
        self._on_change = on_change
        self._lock = threading.Lock()
        self._pulse = Pulse(None, clock.monotonic(), "not asked yet")
        self._sent_at: float | None = None
        self._token: str | None = None
        self._losses = 0

    @property
    def pulse(self) -> Pulse:
        with self._lock:
            return self._pulse

    @property
    def losses(self) -> int:
        with self._lock:
            return self._losses

    def sending(self) -> str:
        """A message is about to go out, with this in it; the oldest that is not back counts."""
        with self._lock:
            if self._sent_at is None:
                self._sent_at = self._clock.monotonic()
            self._token = self._token or uuid4().hex
            return self._token

    def came_back(self, token: object) -> None:
        """One with this *token* did; one sent before a loss proves nothing."""
        with self._lock:
            if token != self._token:
                return
            self._sent_at = None
            is_news = self._pulse.is_well is not True
            if is_news:
                self._pulse = Pulse(True, self._clock.monotonic())
        if is_news:
            log.info("broker %s: answers", self._broker)
            self._on_change()

    def lost(self, reason: str) -> None:
        """The broker broke a connection, or could not be connected to."""
        with self._lock:
            self._sent_at = self._token = None
            is_news = self._pulse.is_well is not False
            if is_news:
                self._pulse = Pulse(False, self._clock.monotonic(), reason)
        if is_news:
            log.warning("broker %s: does not answer (%s)", self._broker, reason)
            self._on_change()

    def until_late(self) -> float | None:
        """Seconds until there is something to check; ``None`` while nothing is out."""
        with self._lock:
            if self._sent_at is None:
                return None
            return max(0.0, self._sent_at + LATE_S - self._clock.monotonic())

    def check_late(self) -> None:
        """Take the broker for lost when a message has been out for too long."""
        with self._lock:
            is_late = (
                self._sent_at is not None and self._clock.monotonic() - self._sent_at >= LATE_S
            )
            self._losses += is_late
        if is_late:
            self.lost("a message of our own did not come back")

    def check_connection(self, losses: int) -> None:
        """Raise ``Lost`` when the connection is of before a loss."""
        if self.losses != losses:
            raise Lost("a message of our own did not come back")
