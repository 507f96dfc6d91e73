"""Which tasks may have ended otherwise than was heard: what told of it may be lost.

A worker that dies has told of the last ones to nobody, and a broker that ends takes
with it what it was told. Who had one of their tasks, or its acknowledgement, gives it
to somebody else: a task that had ended, revoked for one, is run after all.
"""

from __future__ import annotations

from collections.abc import Iterable

from cyme_supd.domain.ledgerstore import EVENTS, Cursor, Gap, Source, micros

#: Tasks that began so long before that are looked at again: a broker takes its time to
#: give them to somebody else.
WINDOW_S = 900.0


class Doubts:
    """About the tasks of one source, from what is known of it now and then."""

    def __init__(self) -> None:
        self._latest_gap = 0.0
        self._pids: dict[str, object] | None = None
        #: From when on tasks are to be looked at, once those are that are being so.
        self._next_since: float | None = None
        self._span: tuple[Cursor, float] | None = None

    def hear(self, source: Source, gaps: Iterable[Gap], now: float) -> None:
        """Begin to doubt where something new is lost, or may be; at first: of late."""
        late = now - WINDOW_S
        ended = [gap.until for gap in gaps if gap.what == EVENTS and gap.source == source.key]
        latest = max(ended, default=0.0)
        known = self._pids if self._pids is not None else {}
        pids = {name: worker[2] for name, worker in source.workers.items()}
        is_other = any(known.get(name, pid) != pid for name, pid in pids.items())
        began = max((worker[0] for worker in source.workers.values()), default=0.0)
        is_first = self._pids is None
        if latest > max(self._latest_gap, late) or is_other or (is_first and began > late):
            self._next_since = min(late, self._next_since or late)
        self._latest_gap, self._pids = max(latest, self._latest_gap), pids

    def span(self, now: float) -> tuple[Cursor, float] | None:
        """Behind which task to go on, and before when they began; ``None`` without a doubt."""
        if self._span is None and self._next_since is not None:
            self._span = (micros(self._next_since), 0), now
            self._next_since = None
        return self._span

    def looked(self, last: Cursor | None) -> None:
        """Up to that one; ``None`` is: at all of them."""
        if self._span is not None:
            self._span = None if last is None else (last, self._span[1])
