"""A runner without a worker: takes orders from queues, and runs as many as it may at once."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from kombu import Connection, Consumer, Queue

from cyme_supd.brokers.reconnecting import keep_connected
from cyme_supd.errors import CymeError, Unavailable
from cyme_supd.runner.desk import beat, listening
from cyme_supd.runner.letters import order_in
from cyme_supd.runner.runner import Runner
from cyme_supd.workers import taking
from cyme_supd.workers.boot import cyme_unacked

log = logging.getLogger(__name__)

#: How long one look lasts while nothing comes: how soon a connection is used
#: for what other threads have done. Before an order is settled that is awaited.
IDLE_S = 0.2
FULL_S = 0.05
CLAIMING_S = 0.005


class Alone:
    """The main thread takes and settles orders, since a connection is one thread's.

    *owner* is who takes, of whom there is one.
    """

    def __init__(
        self, broker: str, queues: Sequence[str], slots: int, runner: Runner, owner: str
    ) -> None:
        self._broker = broker
        self._queues = [Queue(name, durable=True) for name in queues]
        self._slots = slots
        self._runner = runner
        self._owner = hashlib.sha256(owner.encode()).hexdigest()[:32]
        self._stop = threading.Event()
        self._todo: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._settled: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._busy = 0
        self._claiming = 0
        self._threads = [
            threading.Thread(target=self._work, name=f"slot {number}", daemon=True)
            for number in range(slots)
        ]
        self.refused = 0

    def stop(self) -> None:
        """Take no more; return from :meth:`run` when what runs has ended."""
        self._stop.set()
        self._runner.stop()

    def run(self) -> None:
        for thread in self._threads:
            thread.start()
        keep_connected(
            self._connection, self._serve, self._is_over, self._wait, log, "no orders come"
        )
        self._end_threads()

    def _connection(self) -> Connection:
        return listening(self._broker, taking.transport_of(self._broker), **self._options())

    def _is_over(self) -> bool:
        return self._stop.is_set() and self._busy == 0

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            # It comes back at once from now on, and what runs takes its time.
            time.sleep(seconds)

    def _end_threads(self) -> None:
        for _ in self._threads:
            self._todo.put(None)
        for thread in self._threads:
            thread.join()

    def _options(self) -> dict[str, Any]:
        is_redis = self._broker.startswith("redis")
        return cyme_unacked.options(f"runner.{self._owner}") if is_redis else {}

    def _serve(self, connection: Connection) -> None:
        # What belongs to a connection that broke cannot be settled by this one.
        self._settled = queue.SimpleQueue()
        self._claiming = 0
        cyme_unacked.give_back(connection, {})
        taking.put_again(connection, [each.name for each in self._queues])
        consumer = Consumer(
            connection.channel(),
            self._queues,
            on_message=self._take,
            on_decode_error=self._refuse,
            prefetch_count=self._slots,
            accept=["json"],
        )
        is_taking = False
        while not self._is_over():
            wants = self._busy < self._slots and not self._stop.is_set()
            if wants != is_taking:
                # Who has no hand free leaves the next order to others.
                _ = consumer.consume() if wants else consumer.cancel()
                is_taking = wants
            with contextlib.suppress(TimeoutError):
                connection.drain_events(timeout=self._look_s(wants))
            beat(connection)
            self._settle()
        if is_taking:
            consumer.cancel()
        self._settle()

    def _look_s(self, is_free: bool) -> float:
        if self._claiming:
            return CLAIMING_S
        return IDLE_S if is_free else FULL_S

    def _settle(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._settled.get_nowait()()
                self._claiming -= 1

    def _take(self, message: Any) -> None:
        with self._lock:
            is_free = self._busy < self._slots and not self._stop.is_set()
            self._busy += is_free
        if not is_free:
            message.requeue()
            return
        self._claiming += 1
        self._todo.put((message, self._settled))

    def _refuse(self, message: Any, exc: Exception) -> None:
        self.refused += 1
        log.error("a message in a queue of jobs is refused: %s", exc)
        message.reject()

    def _work(self) -> None:
        while (todo := self._todo.get()) is not None:
            message, settled = todo
            try:
                self._handle(message, settled)
            finally:
                with self._lock:
                    self._busy -= 1

    def _handle(self, message: Any, settled: queue.SimpleQueue[Callable[[], None]]) -> None:
        done: list[bool] = []

        def settle(how: Callable[[], None]) -> None:
            if not done:
                done.append(True)
                settled.put(how)

        try:
            self._runner.handle(order_in(message), lambda: settle(message.ack))
        except Unavailable as exc:
            log.warning("an order is given back: %s", exc)
            settle(message.requeue)
        except CymeError as exc:
            refusal = exc
            settle(lambda: self._refuse(message, refusal))
        except Exception:
            log.exception("an order could not be handled")
            settle(message.requeue)
