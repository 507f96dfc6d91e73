"""Brokers' queues in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cyme_supd.domain.orphans import Waiting
from cyme_supd.domain.status import Depth
from cyme_supd.errors import Conflict, Unavailable


class MemoryBrokerQueues:
    """:class:`cyme_supd.domain.ports.BrokerQueues` that hold what a test puts there.

    ``asked`` keeps the brokers and queues that were asked for, in order.
    """

    def __init__(self) -> None:
        self._messages: dict[tuple[str, str], int] = {}
        self._consumers: dict[tuple[str, str], int | None] = {}
        self._tasks: dict[tuple[str, str], Mapping[str, int]] = {}
        self._down: set[str] = set()
        self._refused: set[tuple[str, str]] = set()
        self.asked: list[tuple[str, str]] = []

    def depth(self, broker: str, queue: str) -> Depth | None:
        at = (broker, queue)
        self.asked.append(at)
        if broker in self._down or at in self._refused:
            return None
        return Depth(self._messages.get(at, 0), self._consumers.get(at, 0))

    def depths(self, broker: str, queues: Sequence[str]) -> dict[str, Depth]:
        found = {queue: self.depth(broker, queue) for queue in queues}
        return {queue: depth for queue, depth in found.items() if depth is not None}

    def waiting(self, broker: str, queues: Sequence[str]) -> dict[str, Waiting]:
        if broker in self._down:
            raise Unavailable(f"the broker of {queues[0]!r} does not answer")
        found = {queue: self.depth(broker, queue) for queue in queues}
        return {
            queue: self._waiting((broker, queue), depth) for queue, depth in found.items() if depth
        }

    def _waiting(self, at: tuple[str, str], depth: Depth) -> Waiting:
        tasks = self._tasks.get(at)
        return Waiting(depth, tasks, sum(tasks.values()) if tasks else 0)

    def purge(self, broker: str, queue: str) -> int:
        self.asked.append((broker, queue))
        if broker in self._down:
            raise Unavailable(f"the broker of {queue!r} does not answer")
        if (broker, queue) in self._refused:
            raise Conflict(f"the broker does not let {queue!r} be emptied")
        return self._messages.pop((broker, queue), 0)

    # -- for tests

    def holds(
        self,
        broker: str,
        queue: str,
        messages: int,
        consumers: int | None = 0,
        tasks: Mapping[str, int] | None = None,
    ) -> None:
        """*tasks* are those of the messages that are shown; ``None`` shows nothing."""
        if tasks is not None:
            self._tasks[broker, queue] = tasks
        self._messages[broker, queue] = messages
        self._consumers[broker, queue] = consumers

    def refuses(self, broker: str, queue: str) -> None:
        """Something else has the name there."""
        self._refused.add((broker, queue))

    def breaks(self, broker: str) -> None:
        self._down.add(broker)

    def mends(self, broker: str) -> None:
        self._down.discard(broker)
