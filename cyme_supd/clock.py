"""The seam for time: nothing else in Cyme asks the system for it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The wall clock, aware, UTC: for what is stored and shown."""

    def monotonic(self) -> float:
        """Seconds that never jump: for what is waited for."""

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The host's own clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def isoformat(at: datetime) -> str:
    """``2011-08-15T22:06:43.000001Z``: ISO 8601, UTC, with ``Z``."""
    # Mostly it is so already, and there are lists with thousands of times.
    here = at if at.tzinfo is UTC else at.astimezone(UTC)
    return here.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
