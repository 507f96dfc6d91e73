"""Forgets runs of jobs in time, a few at once: nobody who dispatches waits for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from cyme_supd.clock import Clock
from cyme_supd.config import Config
from cyme_supd.domain.ports import Store
from cyme_supd.errors import CymeError
from cyme_supd.service.forgetting import forget

log = logging.getLogger("cyme_supd.retention")

EVERY_S = 60.0
#: So often it says that it goes on while it waits.
BEAT_EVERY_S = 5.0


class Retention:
    """``run`` is the body of a thread. With one database each branch does so, and none minds."""

    def __init__(self, config: Config, store: Store, clock: Clock) -> None:
        self._kept, self._expire_s = config.runs_keep, config.runs_expire_s
        self._store = store
        self._clock = clock

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        due_at = self._clock.monotonic() + EVERY_S
        while not stop.wait(BEAT_EVERY_S):
            beat()
            if self._clock.monotonic() >= due_at:
                self.forget(stop, beat)
                due_at = self._clock.monotonic() + EVERY_S

    def forget(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        def goes_on() -> bool:
            beat()
            return not stop.is_set()

        try:
            count = forget(self._store, self._clock, self._kept, self._expire_s, goes_on)
        except CymeError as exc:
            log.warning("runs that are old stay stored: %s", exc)
            return
        if count:
            log.info("%d runs that had ended are forgotten", count)
