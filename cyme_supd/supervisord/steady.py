"""A clock for supervisord that does not jump. Runs inside it.

It times stops, starts and retries by the wall clock. One that is put forward
while a worker finishes its task would have it killed at once.
"""

from __future__ import annotations

import time as wall
from typing import Any

from supervisor import process, rpcinterface


class Steady:
    """``time`` as supervisord's modules use it: it starts with the wall clock's time."""

    def __init__(self) -> None:
        self._offset = wall.time() - wall.monotonic()

    def time(self) -> float:
        """Seconds since 1970, had nobody touched the clock since the start."""
        return self._offset + wall.monotonic()

    def __getattr__(self, name: str) -> Any:
        # Both modules also format instants with it.
        return getattr(wall, name)


def install() -> None:
    """Have processes timed by it, and what supervisorctl is told about them."""
    if not isinstance(process.time, Steady):
        process.time = rpcinterface.time = Steady()


def shown(instant: float) -> float:
    """An *instant* of supervisord's as the wall clock has it now; 0 is never."""
    if not instant or not isinstance(process.time, Steady):
        return float(instant)
    # Whole seconds: what is shown of a program at rest does not change.
    return float(instant + round(wall.time() - process.time.time()))
