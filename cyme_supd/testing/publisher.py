"""A broker to publish to, in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from cyme_supd.domain.spec import Queue
from cyme_supd.domain.task import UrlRequest
from cyme_supd.errors import Conflict, Unavailable


class MemoryPublisher:
    """Holds what was queued, by broker and queue. ``is_down`` takes nothing more."""

    def __init__(self) -> None:
        self.is_down = False
        self.refuses: set[str] = set()
        self.queued: defaultdict[tuple[str, str], list[tuple[str, UrlRequest]]] = defaultdict(list)
        self.replies: set[str] = set()

    def publish(
        self, broker: str, queue: Queue, requests: Sequence[tuple[str, UrlRequest]], reply_to: str
    ) -> None:
        if self.is_down:
            raise Unavailable("the broker is not to be had", "ask again")
        if queue.name in self.refuses:
            raise Conflict(f"the broker refuses {queue.name!r} as it is declared")
        self.queued[broker, queue.name].extend(requests)
        self.replies.add(reply_to)

    def sent(self) -> list[UrlRequest]:
        """All that was queued, in order, at whatever broker."""
        return [request for given in self.queued.values() for _, request in given]
