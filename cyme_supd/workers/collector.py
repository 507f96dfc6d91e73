"""One broker's two threads: one puts questions, one gathers the answers.

They share nothing but the table: connections are not thread-safe, and a
broker that hangs may hold up the one without deafening the other.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kombu import Connection, Consumer, Exchange, Producer, Queue

from cyme_supd.clock import Clock
from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.status import Pulse
from cyme_supd.workers import pidbox
from cyme_supd.workers.table import Table

log = logging.getLogger(__name__)

#: How long one look for answers lasts; also how soon a thread sees it must end.
DRAIN_S = 1.0
#: A pulse that is not back by then is a broker that does not pass messages on.
PULSE_LATE_S = 3.0
PULSE_RETRY_S = 0.2
#: Commands that are answered with how the node is.
_LOOKS = (pidbox.LOOK, pidbox.CONSUME, pidbox.CANCEL)
BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
#: When to ask one that has news. A worker says that it is ready before its
#: mailbox is bound, and on Redis what is asked before that is lost; and it says
#: that it will consume from a queue a moment before it does.
ASK_SOON_S = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Question:
    """A command for the nodes named, or for those that match a pattern."""

    command: str
    arguments: dict[str, Any]
    nodes: tuple[str, ...] | str


@dataclass(frozen=True, slots=True)
class Drop:
    """The wish to have a queue, and the exchange of its name, gone if nobody uses them."""

    queue: str


@dataclass(frozen=True, slots=True)
class _Expected:
    """A node that has news since ``since``, and was asked for it ``times`` times."""

    since: float
    times: int = 0

    @property
    def due(self) -> float:
        return self.since + ASK_SOON_S[self.times]


class Collector:
    """Asks the workers of one broker and remembers what they say.

    ``on_news(node)`` is called from its threads when a node says something
    it had not said before, ``on_pulse()`` when the broker comes or goes.
    ``beat(thread name)`` is called whenever a thread has moved.
    """

    def __init__(
        self,
        broker: str,
        branch: str,
        table: Table,
        clock: Clock,
        on_news: Callable[[str], None],
        on_pulse: Callable[[], None],
        beat: Callable[[str], None],
        pulse_interval_s: float,
    ) -> None:
        parsed = parse_broker(broker)
        self.url = broker
        self.masked_url = parsed.masked_url
        self.key = parsed.key
        self.names = (f"collector:{self.key}", f"asker:{self.key}")
        self._address = pidbox.reply_address(branch)
        self._ours = f"@{branch}"
        self._table = table
        self._clock = clock
        self._on_news = on_news
        self._on_pulse = on_pulse
        self._beat = beat
        self._pulse_interval_s = pulse_interval_s
        self._questions: queue.SimpleQueue[Question | Drop | None] = queue.SimpleQueue()
        self._expected: dict[str, _Expected] = {}
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._pulse = Pulse(None, clock.monotonic(), "not asked yet")
        self._sent_at: float | None = None
        self._is_listening = threading.Event()
        self._exchange = Exchange(
            f"cyme.pulse.{self._address}", type="fanout", durable=False, auto_delete=True
        )

    def start(self) -> None:
        for name, body in zip(self.names, (self._collect, self._ask), strict=True):
            threading.Thread(target=self._keep, args=(name, body), name=name, daemon=True).start()

    def stop(self) -> None:
        """Let both threads end; neither is waited for."""
        self._stop.set()

    def put(self, command: str, arguments: dict[str, Any], nodes: Sequence[str]) -> None:
        """Have a question asked as soon as may be; it is lost if the broker is down."""
        self._questions.put(Question(command, arguments, tuple(nodes)))

    def ask(self, nodes: Sequence[str] | None) -> None:
        """Ask the nodes, or all of the branch, how they are."""
        wanted = f"*{self._ours}" if nodes is None else tuple(nodes)
        self._questions.put(Question(pidbox.LOOK, {}, wanted))

    def ask_soon(self, node: str) -> None:
        """Ask a node that has news, again and again for a while, until it tells it."""
        with self._lock:
            self._expected[node] = _Expected(self._clock.monotonic())
        self._questions.put(None)

    def drop(self, name: str) -> None:
        """Have the queue *name* deleted, unless it is in use or not empty."""
        self._questions.put(Drop(name))

    @property
    def pulse(self) -> Pulse:
        with self._lock:
            return self._pulse

    # -- both threads

    def _keep(self, name: str, body: Callable[[Connection, str], None]) -> None:
        """Run *body* on a connection, and on a new one whenever that breaks."""
        failures = 0
        while not self._stop.is_set():
            self._beat(name)
            conn = pidbox.connection(self.url)
            try:
                conn.connect()
                failures = 0
                body(conn, name)
            except pidbox.broken(conn) as exc:
                self._is_listening.clear()
                self._set_pulse(False, f"{type(exc).__name__}: {exc}")
                self._stop.wait(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
                failures += 1
            finally:
                _close(conn)

    def _set_pulse(self, is_well: bool, reason: str = "") -> None:
        with self._lock:
            if self._pulse.is_well is is_well:
                return
            self._pulse = Pulse(is_well, self._clock.monotonic(), reason)
        log.log(
            logging.INFO if is_well else logging.WARNING,
            "broker %s: %s",
            self.masked_url,
            "answers" if is_well else f"does not answer ({reason})",
        )
        self._on_pulse()

    # -- the collector

    def _collect(self, conn: Connection, name: str) -> None:
        channel = conn.channel()
        pulse = Queue(
            self._exchange.name,
            exchange=self._exchange,
            durable=False,
            auto_delete=True,
            expires=pidbox.REPLY_QUEUE_EXPIRES_S,
        )
        answers = Consumer(channel, [pidbox.reply_queue(self._address)], no_ack=True)
        pulses = Consumer(channel, [pulse], no_ack=True)
        for consumer, callback in ((answers, self._on_answer), (pulses, self._on_own)):
            consumer.accept = {"application/json"}
            consumer.register_callback(callback)
        with answers, pulses:
            self._is_listening.set()
            self.ask(None)
            while not self._stop.is_set():
                self._beat(name)
                try:
                    conn.drain_events(timeout=DRAIN_S)
                except TimeoutError:
                    continue

    def _on_own(self, _body: Any, _message: Any) -> None:
        with self._lock:
            self._sent_at = None
        self._set_pulse(True)

    def _on_answer(self, body: Any, message: Any) -> None:
        ticket = message.headers.get("ticket")
        if not isinstance(body, dict):
            return
        for node, said in body.items():
            if not str(node).endswith(self._ours):
                continue
            try:
                self._take(ticket, str(node), said)
            except (TypeError, KeyError, ValueError, AttributeError) as exc:
                log.warning("%s answered %s with something else: %r", node, ticket, exc)

    def _take(self, ticket: str | None, node: str, said: Any) -> None:
        now = self._clock.monotonic()
        if ticket == pidbox.READY:
            self._table.forget(node)
            self.ask_soon(node)
        elif isinstance(said, dict) and "error" in said:
            log.warning("%s refused %s: %s", node, ticket, said["error"])
        elif ticket in _LOOKS and self._table.take(node, said, now):
            with self._lock:
                self._expected.pop(node, None)
            self._on_news(node)

    # -- the asker

    def _ask(self, conn: Connection, name: str) -> None:
        producer = Producer(conn.channel())
        next_pulse = self._clock.monotonic()
        while not self._stop.is_set():
            self._beat(name)
            if self._clock.monotonic() >= next_pulse and self._is_listening.is_set():
                self._send_pulse(producer)
                next_pulse = self._clock.monotonic() + self._until_next_pulse()
            with contextlib.suppress(queue.Empty):
                self._handle(conn, producer, self._questions.get(timeout=self._until(next_pulse)))
            self._check_pulse()
            for node in self._due_expected():
                self._put_question(producer, Question(pidbox.LOOK, {}, (node,)))

    def _until_next_pulse(self) -> float:
        """More often while none has come back: the first may go out before we listen."""
        return self._pulse_interval_s if self.pulse.is_well else PULSE_RETRY_S

    def _until(self, next_pulse: float) -> float:
        """Seconds to the next thing to do by itself."""
        with self._lock:
            dues = [next_pulse, *(expected.due for expected in self._expected.values())]
            if self._sent_at is not None:
                dues.append(self._sent_at + PULSE_LATE_S)
        return max(0.005, min(dues) - self._clock.monotonic())

    def _due_expected(self) -> list[str]:
        """Nodes that have news, have not told it, and are to be asked now."""
        now = self._clock.monotonic()
        due = []
        with self._lock:
            for node, expected in list(self._expected.items()):
                if expected.times >= len(ASK_SOON_S) - 1:
                    del self._expected[node]
                elif expected.due <= now:
                    self._expected[node] = replace(expected, times=expected.times + 1)
                    due.append(node)
        return due

    def _handle(self, conn: Connection, producer: Producer, wish: Question | Drop | None) -> None:
        if isinstance(wish, Question):
            self._put_question(producer, wish)
        elif isinstance(wish, Drop):
            _delete(conn, wish.queue)

    def _put_question(self, producer: Producer, question: Question) -> None:
        expires_at = self._clock.now().timestamp() + pidbox.QUESTION_EXPIRES_S
        pidbox.ask(
            producer,
            question.command,
            question.arguments,
            question.nodes,
            self._address,
            expires_at,
        )

    def _send_pulse(self, producer: Producer) -> None:
        with self._lock:
            if self._sent_at is None:
                self._sent_at = self._clock.monotonic()
        producer.publish(
            {}, exchange=self._exchange, declare=[self._exchange], serializer="json", retry=False
        )

    def _check_pulse(self) -> None:
        with self._lock:
            sent_at = self._sent_at
        if sent_at is not None and self._clock.monotonic() - sent_at >= PULSE_LATE_S:
            self._set_pulse(False, "a message of our own did not come back")


def _delete(conn: Connection, name: str) -> None:
    # A refusal closes the channel, so it is one of its own.
    channel = conn.channel()
    own = Queue(name, Exchange(name, type="direct"), routing_key=name, channel=channel)
    try:
        # On Redis only who declared a queue can take its binding away.
        own.declare()
        own.delete(if_unused=True, if_empty=True)
        own.exchange.delete(if_unused=True)
    except conn.channel_errors as exc:
        log.info("queue %s stays at the broker: %s", name, exc)
    finally:
        channel.close()


def _close(conn: Connection) -> None:
    try:
        conn.release()
    except Exception as exc:
        # What is being closed was broken already.
        log.debug("closing a connection: %r", exc)
