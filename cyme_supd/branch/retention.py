"""Forgets runs of jobs in time, a few at once: nobody who dispatches waits for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from itertools import count

from cyme_supd.clock import Clock
from cyme_supd.config import Config
from cyme_supd.domain.ports import Store
from cyme_supd.errors import CymeError
from cyme_supd.service.forgetting import forget_old, forget_surplus

log = logging.getLogger("cyme_supd.retention")

EVERY_S = 60.0
#: So often it says that it goes on while it waits.
BEAT_EVERY_S = 5.0
#: Looks at a hundred jobs each; where there are more the next round goes on with them. To
#: count the runs of a hundred thousand takes seconds.
MOST_LOOKS = 20


class Retention:
    """``run`` is the body of a thread. With one database each branch does so, and none minds."""

    def __init__(self, config: Config, store: Store, clock: Clock) -> None:
        self._kept, self._expire_s = config.runs_keep, config.runs_expire_s
        self._store = store
        self._clock = clock
        #: The id of the job that was looked at last.
        self._after = ""

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        due_at = self._clock.monotonic() + EVERY_S
        while not stop.wait(BEAT_EVERY_S):
            beat()
            if self._clock.monotonic() >= due_at:
                self.forget(stop, beat)
                due_at = self._clock.monotonic() + EVERY_S

    def forget(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        try:
            forgotten = self._forget(stop, beat)
        except CymeError as exc:
            log.warning("runs that are old stay stored: %s", exc)
            return
        if forgotten:
            log.info("%d runs that had ended are forgotten", forgotten)

    def _forget(self, stop: threading.Event, beat: Callable[[], None]) -> int:
        looks = count(1)

        def goes_on() -> bool:
            beat()
            return not stop.is_set()

        def has_looks() -> bool:
            return goes_on() and next(looks) <= MOST_LOOKS

        old = forget_old(self._store, self._clock, self._expire_s, goes_on)
        surplus, after = forget_surplus(
            self._store, self._clock, self._kept, self._after, has_looks
        )
        self._after = after or ""
        return old + surplus
