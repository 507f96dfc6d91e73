"""Where a runner's claims are answered: a queue of its own, and one thread that reads it."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from kombu import Connection, Consumer, Queue

from cyme_supd.brokers import connections
from cyme_supd.brokers.reconnecting import keep_connected
from cyme_supd.domain.orders import RUNNER_EXPIRES_S, RUNNER_PREFIX, Cancel, Grant, Refusal
from cyme_supd.errors import CymeError
from cyme_supd.runner.letters import said_in
from cyme_supd.seal import Seal

log = logging.getLogger(__name__)

IDLE_S = 1.0
HEARTBEAT_S = 20.0

Answer = Grant | Refusal


def listening(broker: str, transport: str | None = None, **more: Any) -> Connection:
    """A connection that hears of it when the broker's host is gone without a word."""
    connection = connections.connection(broker, transport=transport, **more)
    connection.heartbeat = HEARTBEAT_S
    return connection


def beat(connection: Connection) -> None:
    """To be called every second or so."""
    if connection.supports_heartbeats:
        connection.heartbeat_check()


class Desk:
    """One for a process. ``cancel`` is called with the nonce of a run that is to end."""

    def __init__(self, broker: str, seal: Seal, cancel: Callable[[str], None]) -> None:
        self.name = RUNNER_PREFIX + uuid.uuid4().hex
        self._broker = broker
        self._seal = seal
        self._cancel = cancel
        self._lock = threading.Lock()
        self._asked: dict[str, queue.SimpleQueue[Answer]] = {}
        self._stop = threading.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="desk", daemon=True)
        self._thread.start()

    def ask(self, nonce: str) -> queue.SimpleQueue[Answer]:
        """Where the answer to the claim of *nonce* comes."""
        answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        with self._lock:
            self._asked[nonce] = answers
        return answers

    @property
    def is_listening(self) -> bool:
        """Whether an answer that came now would be heard."""
        return self._listening.is_set()

    def forget(self, nonce: str) -> None:
        """From now on an answer to that claim is nothing."""
        with self._lock:
            self._asked.pop(nonce, None)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(2 * IDLE_S)

    def _run(self) -> None:
        keep_connected(
            partial(listening, self._broker),
            self._serve,
            self._stop.is_set,
            self._stop.wait,
            log,
            "no answers are heard",
        )

    def _serve(self, connection: Connection) -> None:
        try:
            self._listen(connection)
        finally:
            self._listening.clear()

    def _listen(self, connection: Any) -> None:
        channel = connection.channel()
        own = Queue(self.name, durable=True, expires=RUNNER_EXPIRES_S)
        # What is lost with this process's connection is asked for again.
        consumer = Consumer(channel, [own], on_message=self._hear, accept=["json"], no_ack=True)
        with consumer:
            self._listening.set()
            while not self._stop.is_set():
                with contextlib.suppress(TimeoutError):
                    connection.drain_events(timeout=IDLE_S)
                beat(connection)
        own(channel).delete()

    def _hear(self, message: Any) -> None:
        try:
            said = said_in(self._seal, message.body, (Grant, Refusal, Cancel))
        except CymeError as exc:
            log.warning("an answer to a claim is none: %s", exc)
            return
        if isinstance(said, Cancel):
            self._cancel(said.nonce)
            return
        with self._lock:
            answers = self._asked.get(said.nonce)
        if answers is not None:
            answers.put(said)
