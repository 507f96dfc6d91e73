"""The queues of a broker, seen and emptied from outside."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any

from kombu import Connection

from benchmarks.harness import DEADLINE_S
from cyme_supd.workers.depths import BrokerQueues
from tests.support import eventually


class Queues:
    """For queues that exist."""

    def __init__(self, broker: str) -> None:
        self._broker = broker
        self._connection = Connection(broker)
        self._channel = self._connection.default_channel

    def __enter__(self) -> Queues:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._connection.release()

    def take_all(self, name: str, count: int) -> None:
        """Empty *name*, which must come to hold *count* messages and no more."""
        # What is published without confirms may still be on its way.
        eventually(lambda: self._size(name) >= count, DEADLINE_S, every_s=0.01)
        taken = BrokerQueues().purge(self._broker, name)
        if taken != count:
            raise RuntimeError(f"{name} held {taken} messages, not {count}")

    def arguments(self, name: str) -> tuple[list[Any], dict[str, Any]]:
        """Those of the task at the head of *name*, which is taken out of it."""
        message = eventually(
            lambda: self._channel.basic_get(name, no_ack=True), DEADLINE_S, every_s=0.01
        )
        positional, named, _ = json.loads(message.body)
        return positional, named

    def _size(self, name: str) -> int:
        size: int = self._channel.queue_declare(name, passive=True).message_count
        return size
