"""Looks at how deep queues are, for the reconciler, which cannot wait for that."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from cyme_supd.clock import Clock
from cyme_supd.domain.age import Look, looked
from cyme_supd.domain.status import Backlog

#: At one broker in one round: what this costs does not grow with the fleet.
MOST_QUEUES = 50
#: A thread shows signs of life more often than that it has something to do.
STEP_S = 1.0


class Looks(Protocol):
    def looks(self, broker: str, queues: Sequence[str]) -> Mapping[str, Look]: ...


class BacklogWatch:
    """:class:`cyme_supd.domain.ports.Backlogs`, kept by a thread of its own.

    Every *interval_s* it asks each broker for some of the queues watched
    there, those first that it has not asked for the longest.
    """

    def __init__(self, brokers: Looks, clock: Clock, interval_s: float) -> None:
        self._brokers = brokers
        self._clock = clock
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._turns: dict[str, deque[str]] = {}
        self._known: dict[tuple[str, str], Backlog] = {}

    def watch(self, queues: Iterable[tuple[str, str]]) -> None:
        wanted: defaultdict[str, set[str]] = defaultdict(set)
        for broker, name in queues:
            wanted[broker].add(name)
        with self._lock:
            self._turns = {
                broker: _turns(self._turns.get(broker, deque()), names)
                for broker, names in wanted.items()
            }
            self._known = {key: self._known[key] for key in self._known if key[1] in wanted[key[0]]}

    def backlog(self, broker: str, queue: str) -> Backlog | None:
        with self._lock:
            return self._known.get((broker, queue))

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """The body of the thread."""
        next_round = self._clock.monotonic()
        while not stop.wait(min(STEP_S, self._interval_s)):
            beat()
            if self._clock.monotonic() >= next_round:
                next_round = self._clock.monotonic() + self._interval_s
                self.look(beat)

    def look(self, beat: Callable[[], None] = lambda: None) -> None:
        """One round: at most :data:`MOST_QUEUES` of each broker."""
        for broker, names in self._next():
            beat()
            found = self._brokers.looks(broker, names)
            self._keep(broker, found)

    def _next(self) -> list[tuple[str, list[str]]]:
        with self._lock:
            return [
                (broker, [_taken(turns) for _ in range(min(MOST_QUEUES, len(turns)))])
                for broker, turns in self._turns.items()
            ]

    def _keep(self, broker: str, found: Mapping[str, Look]) -> None:
        now, wall = self._clock.monotonic(), self._clock.now().timestamp()
        with self._lock:
            for name, look in found.items():
                if name in self._turns.get(broker, ()):
                    before = self._known.get((broker, name))
                    self._known[broker, name] = looked(before, look, now, wall)


def _turns(before: deque[str], names: set[str]) -> deque[str]:
    """Those that are new come first, the others in the order they had."""
    kept = [name for name in before if name in names]
    return deque([*sorted(names - set(kept)), *kept])


def _taken(turns: deque[str]) -> str:
    turns.rotate(-1)
    return turns[-1]
