"""Many messages on one channel of AMQP, confirmed together: one wait for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cyme_supd.errors import Unavailable


class Confirms:
    """Counts what the broker says of what was published on *channel*, by this alone.

    A broker confirms what it keeps, in any order and many at a time; what no queue
    took it gives back first, and confirms then, too.
    """

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._published = 0
        self._open: set[int] = set()
        self._is_refused = False
        self._returned: set[str] = set()
        channel.confirm_select()
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        channel.events["basic_return"].add(self._on_return)

    def publish(self, queue: str, message: Any) -> None:
        """Send a prepared message to the queue of that name, whatever else it is bound to."""
        self._published += 1
        self._open.add(self._published)
        self._channel.basic_publish(message, exchange="", routing_key=queue, mandatory=True)

    def wait(self, drain: Callable[[], None]) -> set[str]:
        """Call *drain*, which reads what the broker says, until all of it is told.

        The names of queues that are not there; ``Unavailable`` where it refused one.
        """
        while self._open:
            drain()
        returned, self._returned = self._returned, set()
        if self._is_refused:
            raise Unavailable("the broker refuses a message", "see whether the queue has a limit")
        return returned

    def _on_ack(self, tag: int, is_multiple: bool) -> None:
        if is_multiple:
            self._open = {each for each in self._open if each > tag}
        else:
            self._open.discard(tag)

    def _on_nack(self, tag: int, is_multiple: bool) -> None:
        self._is_refused = True
        self._on_ack(tag, is_multiple)

    def _on_return(self, exc: Exception, exchange: str, queue: str, message: Any) -> None:
        self._returned.add(queue)
