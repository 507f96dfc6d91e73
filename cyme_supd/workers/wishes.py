"""What one broker's asker is to do next."""

from __future__ import annotations

import contextlib
import queue
import threading
from dataclasses import dataclass, replace
from typing import Any

from cyme_supd.clock import Clock

#: When to ask one that has news. A worker says that it is ready before its
#: mailbox is bound, and on Redis what is asked before that is lost; and it says
#: that it will consume from a queue a moment before it does.
ASK_SOON_S = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Question:
    """A command for the nodes named, or for those that match a pattern."""

    command: str
    arguments: dict[str, Any]
    nodes: tuple[str, ...] | str


@dataclass(frozen=True, slots=True)
class Drop:
    """The wish to have a queue, and the exchange of its name, gone if nobody uses them.

    ``node`` consumed from it, and from other queues through ``exchanges``
    (name and type): what it has left unfinished goes back to them first.
    """

    queue: str
    node: str = ""
    exchanges: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Expected:
    """A node that has news since ``since``, and was asked for it ``times`` times."""

    since: float
    times: int = 0

    @property
    def due(self) -> float:
        return self.since + ASK_SOON_S[self.times]


class Wishes:
    """Put from any thread, taken by one.

    Questions are worth nothing later, when the broker was away: a full pass
    then asks again. A queue to drop is to be dropped whenever that can be.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._wishes: queue.SimpleQueue[Question | Drop | None] = queue.SimpleQueue()
        self._drops: dict[str, Drop] = {}
        self._expected: dict[str, _Expected] = {}

    def ask(self, question: Question) -> None:
        self._wishes.put(question)

    def expect(self, node: str) -> None:
        """Ask a node that has news, again and again for a while, until it tells it."""
        with self._lock:
            self._expected[node] = _Expected(self._clock.monotonic())
        self._wishes.put(None)

    def heard(self, node: str) -> None:
        """It has told its news."""
        with self._lock:
            self._expected.pop(node, None)

    def drop(self, wish: Drop) -> None:
        with self._lock:
            self._drops[wish.queue] = wish
        self._wishes.put(wish)

    def keep(self, name: str) -> None:
        """The queue is about to be used again: it is not dropped any more."""
        with self._lock:
            self._drops.pop(name, None)

    def is_wanted(self, wish: Drop) -> bool:
        with self._lock:
            return wish.queue in self._drops

    def forget_questions(self) -> None:
        """All that was asked up to now is not; queues to drop stay to be dropped."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._wishes.get_nowait()
        with self._lock:
            self._expected.clear()
            for wish in self._drops.values():
                self._wishes.put(wish)

    def take(self, until: float) -> Question | Drop | None:
        """The next wish; ``None`` where there is none by *until*, or an expected one is due."""
        with self._lock:
            due = min([until, *(expected.due for expected in self._expected.values())])
        with contextlib.suppress(queue.Empty):
            return self._wishes.get(timeout=max(0.005, due - self._clock.monotonic()))
        return None

    def due(self) -> list[str]:
        """Nodes that have news, have not told it, and are to be asked now."""
        now = self._clock.monotonic()
        due = []
        with self._lock:
            for node, expected in list(self._expected.items()):
                if expected.times >= len(ASK_SOON_S) - 1:
                    del self._expected[node]
                elif expected.due <= now:
                    self._expected[node] = replace(expected, times=expected.times + 1)
                    due.append(node)
        return due
