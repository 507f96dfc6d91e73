"""Looks now and then for what is nobody's, for metrics and alerts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

from cyme_supd.branch.meter import Meter
from cyme_supd.clock import Clock
from cyme_supd.errors import CymeError

#: To look asks every worker of an app two questions, and its brokers for each queue.
LOOK_EVERY_S = 300.0
#: After the branch has started there is much that nobody cares for yet.
FIRST_AFTER_S = 60.0
STEP_S = 1.0

#: By kind; ``None`` where it could not be found out.
Counts = Mapping[str, int] | None


class OrphanWatch:
    """What is found twice running is told: between two starts much is nobody's for a moment.

    *apps* are those to look at, *count* asks for one; it may take a second.
    """

    def __init__(
        self,
        apps: Callable[[], Iterable[str]],
        count: Callable[[str], Counts],
        meter: Meter,
        clock: Clock,
    ) -> None:
        self._apps = apps
        self._count = count
        self._meter = meter
        self._clock = clock
        self._before: dict[str, Mapping[str, int]] = {}

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """The body of the thread."""
        due_at = self._clock.monotonic() + FIRST_AFTER_S
        while not stop.wait(STEP_S):
            beat()
            if self._clock.monotonic() >= due_at:
                self.look(beat)
                due_at = self._clock.monotonic() + LOOK_EVERY_S

    def look(self, beat: Callable[[], None] = lambda: None) -> None:
        found: dict[str, Mapping[str, int]] = {}
        for app in self._apps():
            beat()
            counts = self._counted(app)
            if counts is not None:
                found[app] = counts
        self._meter.orphans = {
            app: _lasting(self._before[app], counts)
            for app, counts in found.items()
            if app in self._before
        }
        self._before = found

    def _counted(self, app: str) -> Counts:
        try:
            return self._count(app)
        except CymeError:
            # It may be gone by now, or the store is away.
            return None


def _lasting(before: Mapping[str, int], now: Mapping[str, int]) -> Mapping[str, int]:
    return {kind: min(count, before.get(kind, 0)) for kind, count in now.items()}
