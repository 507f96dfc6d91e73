"""A process' place at the broker: one thread hears, one speaks, each on its own connection."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from kombu import Connection, Consumer, Producer

from cyme_supd.brokers import bounded
from cyme_supd.brokers.connections import broken, connection
from cyme_supd.clock import Clock
from cyme_supd.mailbox.wire import Kind, Message, Wire

log = logging.getLogger(__name__)

#: How long one look lasts; also how soon a thread sees that it must end.
LOOK_S = 1.0
#: While it is not known yet whether anything comes back.
FIRST_LOOK_S = 0.05
#: After that long without a word it is found out whether any could come.
QUIET_S = 3.0
#: An echo that is not back by then: the connection, or the broker, is dead.
LATE_S = 3.0
#: A process that was stopped for so long drops what has come meanwhile.
ASLEEP_S = 5.0
#: The first is for a connection that was kept and has broken meanwhile.
BACKOFF_S = (0.0, 0.2, 0.5, 1.0, 2.0)

Hear = Callable[[Message], None]


class Lost(OSError):
    """Nothing came back through this connection: it may be dead."""


@dataclass(slots=True)
class Letter:
    """A message to be sent before *deadline* (monotonic), or not at all."""

    message: Message
    exchange: str
    routing_key: str
    deadline: float
    on_sent: Callable[[], None] = lambda: None
    on_lost: Callable[[str], None] = lambda reason: None
    is_again: bool = field(default=False)


class Line:
    """Hears what is for this process, and speaks for it.

    ``hear(message)`` is called from the hearing thread, ``on_up(address)`` when
    it hears and is heard on a new connection, ``on_lost(reason)`` when that
    has broken. ``beat(thread name)`` is called whenever a thread has moved.
    Nothing is opened before :meth:`start`.
    """

    def __init__(
        self,
        broker: str,
        wire: Wire,
        clock: Clock,
        is_answering: bool,
        hear: Hear,
        on_up: Callable[[str], None],
        on_lost: Callable[[str], None],
        beat: Callable[[str], None],
    ) -> None:
        self.names = ("mailbox:hears", "mailbox:speaks")
        self._broker = broker
        self._wire = wire
        self._clock = clock
        self._is_answering = is_answering
        self._hear = hear
        self._on_up = on_up
        self._on_lost = on_lost
        self._beat = beat
        self._letters: queue.SimpleQueue[Letter | None] = queue.SimpleQueue()
        self._kept: Letter | None = None
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._losses = 0
        self._failures: dict[str, str] = {}
        self._well: set[str] = set()
        self._threads: list[threading.Thread] = []
        self.address = ""
        self.heard_at = float("-inf")

    def start(self) -> None:
        """Connect, from now on and for good; again, if it is started already: nothing."""
        with self._changed:
            if self._threads or self._stop.is_set():
                return
            for name, body in zip(self.names, (self._listen, self._speak), strict=True):
                keep = partial(self._keep, name, body)
                self._threads.append(threading.Thread(target=keep, name=name, daemon=True))
            for thread in self._threads:
                thread.start()

    def stop(self, within_s: float = LOOK_S) -> None:
        """Leave the broker; a thread that does not end in time is left to itself."""
        # So that who hears wakes.
        self.echo()
        self._stop.set()
        self._letters.put(None)
        for thread in self._threads:
            thread.join(within_s)

    @property
    def is_up(self) -> bool:
        return bool(self.address)

    @property
    def reason(self) -> str:
        """Why it cannot be up, as far as is known; else empty."""
        with self._changed:
            return next(iter(self._failures.values()), "")

    def await_up(self, timeout_s: float) -> bool:
        """Whether it is up, or comes up in time; at once where the broker is known to be away."""
        self.start()
        with self._changed:
            self._changed.wait_for(lambda: self.address or self._failures, timeout_s)
            return self.is_up

    def say(self, letter: Letter) -> None:
        """Have it sent as soon as may be, from any thread; it is lost if the broker is away."""
        if reason := self._failures.get(self.names[1]):
            letter.on_lost(reason)
        else:
            self._letters.put(letter)

    def echo(self) -> None:
        """Have something heard, if anything can be."""
        self._echo_to(self.address)

    def _echo_to(self, address: str) -> None:
        deadline = self._clock.monotonic() + LATE_S
        message = Message(Kind.ECHO, "{}", {})
        self.say(Letter(message, *self._wire.place(address), deadline))

    # -- both threads

    def _keep(self, name: str, body: Callable[[Connection, Callable[[], None]], None]) -> None:
        """Run *body* on a connection, and on a new one whenever that breaks."""
        failures = 0
        while not self._stop.is_set():
            self._beat(name)
            self._well.discard(name)
            conn, losses = self._connection(), self._losses
            try:
                bounded.connect(conn)
                body(conn, partial(self._go_on, name, losses))
                self._gone(name)
                conn.release()
            except Exception as exc:
                self._beat(name)
                bounded.let_go(conn)
                failures = 0 if name in self._well else failures
                self._failed(name, exc, isinstance(exc, broken(conn)))
                self._stop.wait(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
                failures += 1

    def _connection(self) -> Connection:
        # So that a message is with the broker when it was sent.
        options = {} if self._wire.is_redis else {"confirm_publish": True}
        return connection(
            self._broker, io_timeout_s=LATE_S, transport=self._wire.transport, **options
        )

    def _go_on(self, name: str, losses: int) -> None:
        """A sign of life; raises where the connection had better be another."""
        self._beat(name)
        if self._losses != losses:
            raise Lost("nothing comes back through the broker")

    def _is_well(self, name: str) -> None:
        with self._changed:
            self._well.add(name)
            was_away = self._failures.pop(name, None)
        if was_away and self._is_heard_of(name):
            log.info("the other branches can be reached again")

    def _failed(self, name: str, exc: Exception, is_foreseen: bool) -> None:
        reason = f"{type(exc).__name__}: {exc}"
        self._complain(name, reason, is_foreseen)
        # One that broke may be back at once; one that cannot be had is away.
        is_away = name not in self._well
        with self._changed:
            if is_away:
                self._failures[name] = reason
        self._gone(name)
        if name == self.names[0]:
            self._on_lost(reason)
        elif is_away:
            self._lose_letters(reason)

    def _complain(self, name: str, reason: str, is_foreseen: bool) -> None:
        """Once, and by one thread of one process: the others lose the same."""
        level = logging.WARNING if self._is_heard_of(name) else logging.DEBUG
        if not is_foreseen:
            level = logging.ERROR
        if name in self._failures:
            level = logging.DEBUG
        log.log(
            level,
            "%s: the other branches cannot be reached (%s)",
            name,
            reason,
            exc_info=not is_foreseen,
        )

    def _is_heard_of(self, name: str) -> bool:
        return self._is_answering and name == self.names[0]

    def _gone(self, name: str) -> None:
        with self._changed:
            if name == self.names[0]:
                self.address = ""
            self._changed.notify_all()

    # -- who hears

    def _listen(self, conn: Connection, go_on: Callable[[], None]) -> None:
        channel, address = conn.channel(), self._wire.new_address()
        for each in self._wire.queues(address, self._is_answering):
            Consumer(channel, [each], on_message=self._take, no_ack=True).consume()
            go_on()
        echoed_at: float | None = None
        begun = self._clock.monotonic()
        while not self._stop.is_set():
            go_on()
            begun = self._awake(begun)
            with contextlib.suppress(TimeoutError):
                conn.drain_events(timeout=LOOK_S if self.address else FIRST_LOOK_S)
                echoed_at = None
                if self.address != address:
                    self._is_heard(address)
                continue
            # Only here: what came while this process slept is read first.
            if self.address == address and begun - self.heard_at < QUIET_S:
                continue
            echoed_at = begun if echoed_at is None else echoed_at
            if begun - echoed_at > LATE_S:
                self._losses += 1
                raise Lost("an echo did not come back")
            # Often: on Redis the first may go out before this side listens.
            self._echo_to(address)

    def _awake(self, before: float) -> float:
        """The time; what lies here is nobody's any more if it is that much later."""
        now = self._clock.monotonic()
        if now - before > LOOK_S + ASLEEP_S:
            raise Lost(f"this process was stopped for {now - before:.0f} s")
        return now

    def _is_heard(self, address: str) -> None:
        self._is_well(self.names[0])
        with self._changed:
            self.address = address
            self._changed.notify_all()
        self._on_up(address)

    def _take(self, raw: Any) -> None:
        self.heard_at = self._clock.monotonic()
        try:
            message = Message(Kind(raw.headers["kind"]), raw.body, raw.headers)
            if message.kind is not Kind.ECHO:
                self._hear(message)
        except Exception as exc:
            # Whatever it was: the next one is another's.
            log.warning("a message among the branches' is none: %r", exc)

    # -- who speaks

    def _speak(self, conn: Connection, go_on: Callable[[], None]) -> None:
        channel = conn.channel()
        self._wire.declare(channel)
        self._is_well(self.names[1])
        producer = Producer(channel)
        while not self._stop.is_set() or not self._letters.empty():
            go_on()
            letter = self._kept or self._next()
            if letter is None:
                continue
            if letter.deadline <= self._clock.monotonic():
                self._kept = None
                letter.on_lost("the broker takes nothing")
                continue
            # What breaks an idle connection is told with the first thing said.
            self._kept = None if letter.is_again else letter
            letter.is_again = True
            try:
                _publish(producer, letter)
            except Exception:
                if self._kept is None:
                    letter.on_lost("the broker does not take it")
                raise
            self._kept = None
            letter.on_sent()

    def _next(self) -> Letter | None:
        with contextlib.suppress(queue.Empty):
            return self._letters.get(timeout=LOOK_S)
        return None

    def _lose_letters(self, reason: str) -> None:
        if self._kept is not None:
            self._kept.on_lost(reason)
            self._kept = None
        with contextlib.suppress(queue.Empty):
            while True:
                if letter := self._letters.get_nowait():
                    letter.on_lost(reason)


def _publish(producer: Producer, letter: Letter) -> None:
    message = letter.message
    producer.publish(
        message.body,
        exchange=letter.exchange,
        routing_key=letter.routing_key,
        headers={"kind": str(message.kind), **message.headers},
        content_type="application/json",
        content_encoding="utf-8",
        delivery_mode=1,
        retry=False,
    )
