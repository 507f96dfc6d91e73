"""What is done about the record now and then: tasks that are lost, and old ones."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from cyme_supd.clock import Clock
from cyme_supd.domain.ledgerstore import (
    NEVER_RECEIVED,
    WORKER_GONE,
    Source,
    Tracked,
    micros,
)
from cyme_supd.domain.tracking import Keep, Place, is_gone
from cyme_supd.errors import CymeError
from cyme_supd.monitor.outcomes import Opened

log = logging.getLogger(__name__)

#: A worker that was silent for longer, and tells of itself every two seconds, is gone.
SILENT_S = 120.0
#: Of each state in one look.
MOST_LOOKED_AT = 1000
#: Deleted at once: who commits meanwhile waits for no more than these.
MOST_DELETED = 500
#: Between two of them, so that others get their turn.
PAUSE_S = 0.02
#: Bounds one round, so that a thread shows signs of life.
MOST_ROUNDS = 200

#: How many messages wait in a queue; ``None`` where that is not known.
Depth = Callable[[str, str], int | None]


class Lost:
    """Marks tasks as lost: sent and never received, and those whose worker is gone."""

    def __init__(
        self, reading: Opened, recording: Opened, clock: Clock, depth: Depth, lost_after_s: float
    ) -> None:
        self._reading = reading
        self._recording = recording
        self._clock = clock
        self._depth = depth
        self._lost_after_s = lost_after_s

    def look(self, place: Place) -> None:
        now = self._clock.now().timestamp()
        with self._reading() as view:
            known = {each.key: each for each in view.sources()}.get(place.source)
            if known is None:
                return
            before, start = now - self._lost_after_s, (-1, 0)
            sent = view.oldest_tracked(place.source, ["SENT"], before, start, MOST_LOOKED_AT)
            begun = view.oldest_tracked(place.source, ["STARTED"], now, start, MOST_LOOKED_AT)
        self._mark(self._never_received(place, known, sent, now), NEVER_RECEIVED)
        self._mark(_left_behind(known, begun, now), WORKER_GONE)

    def _mark(self, tasks: Sequence[Tracked], reason: str) -> None:
        if tasks:
            with self._recording() as tx:
                tx.mark_lost([each.number for each in tasks], reason)

    def _never_received(
        self, place: Place, known: Source, sent: Sequence[Tracked], now: float
    ) -> list[Tracked]:
        # Where nobody tells of what is received, nothing follows from not hearing of it.
        if not known.event_at and not place.backends:
            return []
        late = [each for each in sent if each.lost is None and self._is_due(each, now)]
        queues = {str(each.record.get("routing_key")) for each in late}
        # What waits in its queue is not lost, however long it does.
        empty = {queue for queue in queues if self._depth(place.broker, queue) == 0}
        return [each for each in late if str(each.record.get("routing_key")) in empty]

    def _is_due(self, task: Tracked, now: float) -> bool:
        eta, expires = (_moment(task.record.get(name)) for name in ("eta", "expires"))
        since = max(eta, task.record.states["SENT"].last)
        if expires:
            # Brokers drop what is too late, without a word to anybody.
            return now > max(expires, since) + min(self._lost_after_s, SILENT_S)
        return since < now - self._lost_after_s


def _moment(text: Any) -> float:
    """0 for what is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return 0.0


def _left_behind(known: Source, begun: Sequence[Tracked], now: float) -> list[Tracked]:
    return [
        each
        for each in begun
        if each.lost is None
        and is_gone(
            known.workers,
            each.record.get("worker"),
            each.record.states["STARTED"].last,
            now,
            SILENT_S,
        )
    ]


class Retention:
    """Deletes what is old, and what is too much, a few at a time."""

    def __init__(
        self, reading: Opened, recording: Opened, clock: Clock, keep: Mapping[str, Keep]
    ) -> None:
        self._reading = reading
        self._recording = recording
        self._clock = clock
        self._keep = keep

    def look(self, stop: threading.Event) -> int:
        """How many were deleted."""
        try:
            return sum(self._forget(state, keep, stop) for state, keep in self._keep.items())
        except CymeError as exc:
            log.warning("old tasks stay in the record: %s", exc)
            return 0

    def _forget(self, state: str, keep: Keep, stop: threading.Event) -> int:
        before = (micros(self._clock.now().timestamp() - keep.age_s), 0)
        with self._reading() as view:
            beyond = view.beyond(state, keep.count)
        limit = max(before, beyond or before)
        deleted = 0
        for _ in range(MOST_ROUNDS):
            with self._recording() as tx:
                count: int = tx.forget_tracked(state, limit, MOST_DELETED)
            deleted += count
            if count < MOST_DELETED or stop.wait(PAUSE_S):
                break
        return deleted
