"""Time that passes when told to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Both clocks stand still but for :meth:`advance` and :meth:`sleep`."""

    def __init__(self, now: datetime = datetime(2011, 8, 15, 22, 6, 43, tzinfo=UTC)) -> None:
        self._now = now
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass on both clocks."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds
