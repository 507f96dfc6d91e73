"""How tasks ended of which no event came, or may have been lost: asked of their backends."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from cyme_supd.clock import Clock
from cyme_supd.domain.ledger import FINAL, Record, from_result
from cyme_supd.domain.ledgerstore import Cursor, Tracked
from cyme_supd.domain.taskmessage import Redaction
from cyme_supd.domain.tracking import Place
from cyme_supd.errors import CymeError, Invalid
from cyme_supd.monitor.doubts import WINDOW_S, Doubts

log = logging.getLogger(__name__)

#: A task that ends sooner tells of it by an event, or need not be looked up so soon.
PATIENCE_S = 10.0
#: Read, and stored, at a time.
MOST_ASKED = 200
UNFINISHED = ("SENT", "RECEIVED", "STARTED", "RETRY", "PENDING")
#: For so long one round asks for those of one source that have not ended, and as long for
#: those that have and are doubted; the next goes on behind them.
ROUND_S = 2.0
_BEFORE_ALL: Cursor = (-1, 0)

Opened = Callable[[], AbstractContextManager[Any]]


class Backends(Protocol):
    def outcome(self, url: str, id: str) -> dict[str, Any]:
        """``state``, and ``result`` or ``error`` and ``traceback``, ``at``, ``worker``."""


class Outcomes:
    """Looks through those that have not ended, as many as time allows, again and again."""

    def __init__(
        self,
        reading: Opened,
        recording: Opened,
        backends: Backends,
        redaction: Redaction,
        clock: Clock,
    ) -> None:
        self._reading = reading
        self._recording = recording
        self._backends = backends
        self._redaction = redaction
        self._clock = clock
        self._behind: dict[str, Cursor] = {}
        self._doubts: dict[str, Doubts] = {}

    def look(self, places: Sequence[Place], stop: threading.Event) -> None:
        for place in places:
            if not place.backends or stop.is_set():
                continue
            try:
                self._look(place, stop)
                self._look_again(place, stop)
            except CymeError as exc:
                log.warning("%s: results are not looked up: %s", place.source, exc)

    def _look(self, place: Place, stop: threading.Event) -> None:
        before = self._clock.now().timestamp() - PATIENCE_S
        ends_at, is_end = self._clock.monotonic() + ROUND_S, False
        while not is_end and self._clock.monotonic() < ends_at:
            behind = self._behind.get(place.source, _BEFORE_ALL)
            with self._reading() as view:
                tasks = view.oldest_tracked(place.source, UNFINISHED, before, behind, MOST_ASKED)
            # From the oldest on again when the end is reached.
            is_end = len(tasks) < MOST_ASKED
            self._behind[place.source] = _BEFORE_ALL if is_end else tasks[-1].cursor
            if not self._ask(place, tasks, stop):
                return

    def _look_again(self, place: Place, stop: threading.Event) -> None:
        now = self._clock.now().timestamp()
        doubts = self._doubts.setdefault(place.source, Doubts())
        with self._reading() as view:
            known = {each.key: each for each in view.sources()}.get(place.source)
            gaps = view.gaps(now - WINDOW_S)
        if known is not None:
            doubts.hear(known, gaps, now)
        ends_at = self._clock.monotonic() + ROUND_S
        while (span := doubts.span(now)) and self._clock.monotonic() < ends_at:
            behind, before = span
            with self._reading() as view:
                tasks = view.oldest_tracked(place.source, FINAL, before, behind, MOST_ASKED)
            if not self._ask(place, tasks, stop):
                return
            doubts.looked(tasks[-1].cursor if len(tasks) == MOST_ASKED else None)

    def _ask(self, place: Place, tasks: Sequence[Tracked], stop: threading.Event) -> bool:
        """Whether all were asked for, and what is known of them now is stored."""
        told = []
        for task in tasks:
            if stop.is_set():
                return False
            told += self._told(place, task)
        if told:
            with self._recording() as tx:
                tx.observe(place.source, told)
        return True

    def _told(self, place: Place, task: Tracked) -> list[Record]:
        for url in place.backends:
            try:
                said = self._backends.outcome(url, task.record.id)
            except Invalid as exc:
                # Nothing that can be read: how it ended is known, with what is not.
                said = {"state": "PENDING"}
                log.debug("%s: %s", task.record.id, exc)
            if said["state"] not in ("PENDING", task.record.state):
                return self._record(task.record, said)
        return []

    def _record(self, known: Record, said: dict[str, Any]) -> list[Record]:
        at = said.pop("at", None) or self._clock.now().timestamp()
        name = str(known.get("name") or "")
        facts = {
            fact: self._redaction.of(name, value) if isinstance(value, str) else value
            for fact, value in said.items()
            if fact != "state" and value is not None
        }
        record = from_result(known.id, at, said["state"], **facts)
        return [] if record is None else [record]
