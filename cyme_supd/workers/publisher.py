"""Queues URLs: from the web's threads to a broker."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from cyme_supd.clock import Clock
from cyme_supd.domain.spec import Queue
from cyme_supd.domain.task import TASK, UrlRequest
from cyme_supd.errors import Unavailable
from cyme_supd.workers.declared import Declared
from cyme_supd.workers.outgoing import Message, NoRoute, Outgoing, as_json

#: A broker that has not taken a message by then is as good as gone. All of
#: the web's threads may be waiting for it.
TIMEOUT_S = 1.0
#: For as long as that nobody else waits for the same broker.
PAUSE_S = 1.0
#: A batch is more bytes, and one of its requests is many.
BATCH_TIMEOUT_S = 30.0

_EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


class UrlPublisher:
    """The port ``Publisher``: each broker's connections and declarations, kept.

    A queue is declared once, and then again when the broker says that it has it
    no more.
    """

    def __init__(self, clock: Clock, origin: str) -> None:
        self._clock = clock
        self._origin = origin
        self._lock = threading.Lock()
        self._brokers: dict[str, _Broker] = {}

    def publish(
        self, broker: str, queue: Queue, requests: Sequence[tuple[str, UrlRequest]], reply_to: str
    ) -> None:
        origin = {"origin": self._origin, "cyme_app": queue.app}
        to = self._broker(broker)
        to.check_awake(self._clock.monotonic())
        messages = [_message(id, request, reply_to, origin) for id, request in requests]
        try:
            to.put(queue, messages)
        except Unavailable:
            to.asleep_until = self._clock.monotonic() + PAUSE_S
            raise

    def close(self) -> None:
        with self._lock:
            for broker in self._brokers.values():
                broker.close()
            self._brokers.clear()

    def _broker(self, url: str) -> _Broker:
        with self._lock:
            if url not in self._brokers:
                self._brokers[url] = _Broker(url)
            return self._brokers[url]


class _Broker:
    def __init__(self, url: str) -> None:
        self._single = Outgoing(url, TIMEOUT_S)
        self._batch = Outgoing(url, BATCH_TIMEOUT_S, is_whole=True)
        self._declared = Declared(self._single, is_amqp=not url.startswith("redis"))
        self.asleep_until = float("-inf")

    def check_awake(self, now: float) -> None:
        if now < self.asleep_until:
            raise Unavailable("the broker did not answer a moment ago", "ask again")

    def put(self, queue: Queue, messages: Sequence[Message]) -> None:
        outgoing = self._single if len(messages) == 1 else self._batch
        self._declared.ensure(queue)
        try:
            outgoing.put(queue.name, messages)
        except NoRoute:
            # It has expired, or somebody has deleted it.
            self._declared.forget()
            self._declared.ensure(queue)
            outgoing.put(queue.name, messages)

    def close(self) -> None:
        self._single.close()
        self._batch.close()


def _message(id: str, request: UrlRequest, reply_to: str, more: Mapping[str, str]) -> Message:
    """A task's message, in the form that Celery's workers take."""
    # Logged by workers: whom it is for, and nothing that may be a secret.
    host = urlsplit(request.url).netloc.rpartition("@")[2]
    headers = {
        "lang": "py",
        "task": TASK,
        "id": id,
        "root_id": id,
        "timelimit": [None, None],
        "argsrepr": "()",
        "kwargsrepr": f"{request.method} {host}",
        "ignore_result": True,
        **more,
    }
    body = as_json([[], request.as_kwargs(), _EMBED])
    return Message(id, body, headers, {"reply_to": reply_to})
