"""Queues at one broker, each there before something is put into it."""

from __future__ import annotations

from kombu import Queue as KombuQueue

from cyme_supd.domain.declaration import entry
from cyme_supd.domain.spec import Queue
from cyme_supd.errors import Conflict
from cyme_supd.workers.outgoing import Outgoing

_NOT_FOUND = 404


class Declared:
    """Those that are known to be there, until told to :meth:`forget` it.

    What is there stays as it was declared by whoever came first. Each is asked for
    and declared on a channel that may break.
    """

    def __init__(self, outgoing: Outgoing, is_amqp: bool) -> None:
        self._outgoing = outgoing
        self._is_amqp = is_amqp
        self._known: set[str] = set()

    def ensure(self, queue: Queue) -> None:
        """Raises ``Conflict`` where the broker refuses it, or ``Unavailable``."""
        if not self._is_amqp:
            _refuse_fanout(queue)
            return
        declared = entry(queue)
        key = f"{queue.name} {declared['digest']}"
        if key not in self._known:
            if not self._is_there(queue.name):
                self._declare(kombu_queue(declared))
            self._known.add(key)

    def forget(self) -> None:
        self._known.clear()

    def _is_there(self, name: str) -> bool:
        with self._outgoing.channel() as channel:
            try:
                channel.queue_declare(name, passive=True)
            except channel.connection.channel_errors as exc:
                if getattr(exc, "reply_code", None) == _NOT_FOUND:
                    return False
                raise Conflict(f"the broker refuses {name!r}: {exc}") from exc
        return True

    def _declare(self, queue: KombuQueue) -> None:
        with self._outgoing.channel() as channel:
            try:
                queue(channel).declare()
            except channel.connection.channel_errors as exc:
                raise Conflict(
                    f"the broker refuses {queue.name!r} as it is declared: {exc}",
                    "change the declaration, or what the broker has",
                ) from exc


def kombu_queue(declared: dict[str, object]) -> KombuQueue:
    """The queue behind a full declaration, as :func:`entry` writes it."""
    options = declared["options"]
    return KombuQueue.from_dict(
        declared["name"],
        exchange=declared["exchange"],
        exchange_type=declared["exchange_type"],
        routing_key=declared["routing_key"],
        **(options if isinstance(options, dict) else {}),
    )


def _refuse_fanout(queue: Queue) -> None:
    if queue.exchange_type == "fanout":
        raise Conflict(
            f"{queue.name!r} is bound to a fanout exchange, and on Redis those keep nothing",
            "use a direct or topic one, or RabbitMQ",
        )
