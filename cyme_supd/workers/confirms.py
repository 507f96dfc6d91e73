"""Many messages on one channel of AMQP, confirmed together: one wait for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cyme_supd.errors import Unavailable


class Refused(Unavailable):
    """The broker refused messages to these ``queues``, and has none of those ``missing``.

    All others have theirs.
    """

    def __init__(self, queues: set[str], missing: set[str]) -> None:
        names = ", ".join(sorted(queues))
        super().__init__(
            f"the broker refuses messages to {names}", "see whether the queue has a limit"
        )
        self.queues = queues
        self.missing = missing


class Confirms:
    """Counts what the broker says of what was published on *channel*, by this alone.

    A broker confirms what it keeps, in any order and many at a time; what no queue
    took it gives back first, and confirms then, too.
    """

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._published = 0
        #: The queues of those that nothing is known of yet, by their tags.
        self._open: dict[int, str] = {}
        self._refused: set[str] = set()
        self._returned: set[str] = set()
        # Or each message would cost one more look at the socket, for what the broker says
        # when it is full; it confirms nothing then, and that is waited for anyhow.
        channel.connection.client_properties.get("capabilities", {})["connection.blocked"] = False
        channel.confirm_select()
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        channel.events["basic_return"].add(self._on_return)

    def publish(self, queue: str, message: Any) -> None:
        """Send a prepared message to the queue of that name, whatever else it is bound to."""
        self._published += 1
        self._open[self._published] = queue
        self._channel.basic_publish(message, exchange="", routing_key=queue, mandatory=True)

    def wait(self, drain: Callable[[], None]) -> set[str]:
        """Call *drain*, which reads what the broker says, until all of it is told.

        The names of queues that are not there; :exc:`Refused` where it refused some.
        """
        while self._open:
            drain()
        returned, self._returned = self._returned, set()
        refused, self._refused = self._refused, set()
        if refused:
            raise Refused(refused, returned)
        return returned

    def _on_ack(self, tag: int, is_multiple: bool) -> None:
        self._told(tag, is_multiple)

    def _on_nack(self, tag: int, is_multiple: bool) -> None:
        self._refused |= self._told(tag, is_multiple)

    def _told(self, tag: int, is_multiple: bool) -> set[str]:
        tags = [each for each in self._open if each <= tag] if is_multiple else [tag]
        return {self._open.pop(each) for each in tags if each in self._open}

    def _on_return(self, exc: Exception, exchange: str, queue: str, message: Any) -> None:
        self._returned.add(queue)
