"""How tasks ended, from the worker to the branch that has queued them."""

from __future__ import annotations

import logging
import threading
import time

from kombu import Queue

from cyme_supd.errors import Unavailable
from cyme_supd.workers.outgoing import Message, NoRoute, Outgoing

log = logging.getLogger(__name__)

TIMEOUT_S = 5.0
#: A broker that is away for longer gets the task back instead.
PATIENCE_S = 120.0
PAUSE_S = 1.0


class Reports:
    """Sends results to the queues of branches; for all threads of one process.

    Opened by the first report, so that it belongs to the pool's process and
    not to the one it was forked from.
    """

    def __init__(self, broker: str) -> None:
        self._broker = broker
        self._lock = threading.Lock()
        self._outgoing: Outgoing | None = None

    def send(self, queue: str, message: Message) -> None:
        """Have the broker keep it; ``Unavailable`` where it did not for two minutes."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._put(queue, message)
                return
            except Unavailable as exc:
                if time.monotonic() >= deadline:
                    raise
                log.warning("a result is kept back: %s", exc)
                time.sleep(PAUSE_S)

    def _put(self, queue: str, message: Message) -> None:
        outgoing = self._opened()
        try:
            outgoing.put(queue, [message])
        except NoRoute:
            # The branch has not been there yet: it finds the queue when it is.
            with outgoing.channel() as channel:
                results_queue(queue)(channel).declare()
            outgoing.put(queue, [message])

    def _opened(self) -> Outgoing:
        with self._lock:
            if self._outgoing is None:
                self._outgoing = Outgoing(self._broker, TIMEOUT_S)
            return self._outgoing


def results_queue(name: str) -> Queue:
    """The durable queue *name*, bound to nothing: it is sent to by its name."""
    return Queue(name, durable=True)
