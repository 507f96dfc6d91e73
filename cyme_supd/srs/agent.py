"""The two threads of the SRS interface: one hears what is asked for, one tells how things are."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from kombu import Connection, Consumer, Exchange, Producer

from cyme_supd.brokers import bounded
from cyme_supd.brokers.connections import broken, connection
from cyme_supd.brokers.reconnecting import keep_connected
from cyme_supd.clock import Clock
from cyme_supd.errors import CymeError, Invalid
from cyme_supd.srs import exchanges, messages
from cyme_supd.srs.desk import Desk, is_passing

log = logging.getLogger(__name__)

LISTENER, TELLER = "srs", "srs:statistics"
#: How long one look for messages lasts.
DRAIN_S = 1.0
STATISTICS_EVERY_S = 15.0
#: How soon somebody is noticed who begins to listen to them.
NOTICE_S = 4.0
#: How often the connection is tried that messages come by: one that is dead
#: and open would be quiet for ever.
KEEP_EVERY_S = 15.0
#: When to try again what the store could not take.
RETRIES_S = (0.2, 1.0, 3.0)
#: What there is for leaving a broker, at the end of the branch.
LEAVE_S = 1.0


class Agent:
    """Hears and tells at one broker, for as long as it is up, until it is stopped.

    ``beat(thread name)`` is called whenever a thread has moved.
    """

    def __init__(self, broker: str, desk: Desk, clock: Clock, beat: Callable[[str], None]) -> None:
        self._url = broker
        self._desk = desk
        self._clock = clock
        self._beat = beat
        self._stop = threading.Event()
        self._waiting: list[Any] = []

    def start(self) -> None:
        for name, body in ((LISTENER, self._listen), (TELLER, self._tell)):
            self._beat(name)
            threading.Thread(target=self._keep, args=(name, body), name=name, daemon=True).start()

    def stop(self) -> None:
        """Leave nothing at the broker; the threads are not waited for."""
        self._stop.set()
        conn = connection(self._url, LEAVE_S, LEAVE_S)
        if not exchanges.is_virtual(conn):
            return
        try:
            bounded.connect(conn, LEAVE_S)
            exchanges.clear(conn, self._desk.branch)
        except broken(conn) as exc:
            log.debug("srs: something may be left at the broker: %r", exc)
        finally:
            bounded.let_go(conn)

    def _keep(self, name: str, body: Callable[[Connection, Callable[[], None]], None]) -> None:
        """Run *body* on a connection, and on a new one whenever that breaks."""

        def connect() -> Connection:
            self._beat(name)
            return connection(self._url)

        keep_connected(
            connect,
            lambda conn: body(conn, partial(self._beat, name)),
            self._stop.is_set,
            self._stop.wait,
            log,
            f"{name} waits for its broker",
            (LookupError,),
        )

    # -- the listener

    def _listen(self, conn: Connection, beat: Callable[[], None]) -> None:
        self._waiting.clear()
        # Acknowledged as they are taken: queues that end with their connection
        # would give nothing back.
        consumer = Consumer(
            exchanges.channel_of(conn),
            exchanges.queues(conn, self._desk.branch),
            on_message=self._waiting.append,
            on_decode_error=_drop,
            no_ack=True,
        )
        with consumer:
            next_keep = self._clock.monotonic()
            while not self._stop.is_set():
                beat()
                if self._clock.monotonic() >= next_keep:
                    next_keep = self._clock.monotonic() + KEEP_EVERY_S
                    _try(consumer)
                    exchanges.keep(conn, self._desk.branch)
                with contextlib.suppress(TimeoutError):
                    conn.drain_events(timeout=DRAIN_S)
                while self._waiting:
                    beat()
                    self._handle(conn, self._waiting.pop(0))
        if exchanges.is_virtual(conn):
            # It may have declared all this when it had been cleared away already.
            exchanges.clear(conn, self._desk.branch)

    def _handle(self, conn: Connection, message: Any) -> None:
        """Whatever is wrong with it, the next one is not to wait for it."""
        exchange = str(message.delivery_info.get("exchange"))
        try:
            if exchange == exchanges.QUERY:
                self._answer(conn, message)
            else:
                self._act(exchange, message)
        except CymeError as exc:
            log.warning("srs: a message to %s is dropped: %s", exchange, exc)
        except broken(conn):
            raise
        except Exception:
            log.exception("srs: a message to %s is dropped", exchange)

    def _act(self, exchange: str, message: Any) -> None:
        said = messages.read(message.content_type, message.body)
        if exchange == exchanges.UPDATE:
            key = str(message.delivery_info.get("routing_key"))
            act = partial(self._desk.update, messages.update(key, said))
        else:
            act = partial(self._desk.create, messages.creation(said))
        for pause_s in RETRIES_S:
            try:
                return act()
            except CymeError as exc:
                if not is_passing(exc) or self._stop.wait(pause_s):
                    raise
        return act()

    def _answer(self, conn: Connection, message: Any) -> None:
        reply_to = message.properties.get("reply_to")
        if not isinstance(reply_to, str) or not reply_to:
            raise Invalid("it has no reply_to: nobody would hear the answer")
        if not exchanges.is_there(conn, exchanges.REPLY):
            raise Invalid(f"nobody has declared the exchange {exchanges.REPLY!r}")
        with exchanges.channel_of(conn) as channel:
            Producer(channel).publish(
                self._desk.instances(),
                exchange=exchanges.REPLY,
                routing_key=reply_to,
                correlation_id=message.properties.get("correlation_id"),
                serializer="json",
                retry=False,
            )

    # -- the teller

    def _tell(self, conn: Connection, beat: Callable[[], None]) -> None:
        exchange = exchanges.open_statistics(conn)
        while not self._stop.is_set():
            beat()
            # Otherwise every worker would be asked, for nobody.
            is_heard = exchanges.is_heard(conn)
            if is_heard:
                self._tell_once(conn, exchange)
            self._stop.wait(STATISTICS_EVERY_S if is_heard else NOTICE_S)

    def _tell_once(self, conn: Connection, exchange: Exchange) -> None:
        try:
            told = self._desk.statistics()
        except CymeError as exc:
            log.warning("srs: no statistics: %s", exc)
        else:
            _publish(conn, exchange, told)


def _publish(conn: Connection, exchange: Exchange, told: Any) -> None:
    with exchanges.channel_of(conn) as channel:
        if exchanges.is_virtual(conn):
            # What kind it is, is known only to the channel it was declared on.
            exchange(channel).declare()
        Producer(channel).publish(told, exchange=exchange.name, serializer="json", retry=False)


def _try(consumer: Consumer) -> None:
    """A question that the broker has to answer."""
    for queue in consumer.queues:
        queue.queue_declare()


def _drop(message: Any, exc: Exception) -> None:
    log.warning("srs: a message that cannot be read is dropped: %r", exc)
