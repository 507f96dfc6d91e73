"""One broker's two threads: one puts questions, one gathers the answers.

They share nothing but tables: connections are not thread-safe, and a broker
that hangs may hold up the one without deafening the other.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from kombu import Connection, Consumer, Exchange, Producer, Queue

from cyme_supd.brokers import bounded, connections
from cyme_supd.clock import Clock
from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.status import Pulse
from cyme_supd.workers import pidbox
from cyme_supd.workers.boot import cyme_unacked
from cyme_supd.workers.pulse import PulseWatch
from cyme_supd.workers.rounds import AskingRound
from cyme_supd.workers.table import Table
from cyme_supd.workers.wishes import Drop, Question, Wishes

log = logging.getLogger(__name__)

#: How long one look for answers lasts; also how soon a thread sees it must end.
DRAIN_S = 1.0
PULSE_RETRY_S = 0.2
#: Commands that are answered with how the node is.
_LOOKS = (pidbox.LOOK, pidbox.CONSUME, pidbox.CANCEL)
#: Not longer at the end: that is how late the return of a broker is noticed.
BACKOFF_S = (0.2, 0.5, 1.0, 2.0)


class Collector:
    """Asks the workers of one broker and remembers what they say.

    ``on_news(node)`` is called from its threads when a node says something
    it had not said before, ``on_pulse()`` when the broker comes or goes.
    ``beat(thread name)`` is called whenever a thread has moved,
    ``on_answer(seconds)`` for the first answer of each node after a question to all.
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
        on_answer: Callable[[float], None] = lambda _seconds: None,
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
        self._beat = beat
        self._round = AskingRound(on_answer)
        self._pulse_interval_s = pulse_interval_s
        self._wishes = Wishes(clock)
        self._watch = PulseWatch(self.masked_url, clock, on_pulse)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._is_listening = threading.Event()
        self._exchange = Exchange(
            f"cyme.pulse.{self._address}", type="fanout", durable=False, auto_delete=True
        )

    def start(self) -> None:
        for name, body in zip(self.names, (self._collect, self._ask), strict=True):
            threading.Thread(target=self._keep, args=(name, body), name=name, daemon=True).start()

    def stop(self) -> None:
        """Let both threads end; neither is waited for, nor shows signs of life any more."""
        with self._lock:
            self._stop.set()

    def put(self, command: str, arguments: dict[str, Any], nodes: Sequence[str]) -> None:
        """Have a question asked as soon as may be; it is lost if the broker is down."""
        self._put(Question(command, arguments, tuple(nodes)))

    def ask(self, nodes: Sequence[str] | None) -> None:
        """Ask the nodes, or all of the branch, how they are."""
        wanted = f"*{self._ours}" if nodes is None else tuple(nodes)
        self._put(Question(pidbox.LOOK, {}, wanted))

    def ask_soon(self, node: str) -> None:
        """Ask a node that has news, again and again for a while, until it tells it."""
        if self.pulse.is_well is not False:
            self._wishes.expect(node)

    def drop(self, wish: Drop) -> None:
        """Have a queue deleted, unless it is in use or not empty.

        When the broker is back if it is down.
        """
        self._wishes.drop(wish)

    def keep(self, name: str) -> None:
        """The queue *name* is about to be used: one that is yet to be dropped stays."""
        self._wishes.keep(name)

    @property
    def pulse(self) -> Pulse:
        return self._watch.pulse

    def _put(self, question: Question) -> None:
        if self.pulse.is_well is not False:
            self._wishes.ask(question)

    # -- both threads

    def _keep(self, name: str, body: Callable[[Connection, Callable[[], None]], None]) -> None:
        """Run *body* on a connection, and on a new one whenever that breaks.

        Every step in between has an end of its own, and is a sign of life.
        """
        failures = 0
        while not self._stop.is_set():
            self._live(name)
            conn = connections.connection(self.url)
            losses = self._watch.losses
            try:
                bounded.connect(conn)
                failures = 0
                body(conn, partial(self._go_on, name, losses))
                conn.release()
            except connections.broken(conn) as exc:
                self._live(name)
                self._watch.lost(f"{type(exc).__name__}: {exc}")
                bounded.let_go(conn)
                self._live(name)
                self._stop.wait(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
                failures += 1

    def _live(self, name: str) -> None:
        with self._lock:
            if not self._stop.is_set():
                self._beat(name)

    def _go_on(self, name: str, losses: int) -> None:
        """A sign of life; raises where the connection had better be another."""
        self._live(name)
        self._watch.check_connection(losses)

    # -- the collector

    def _collect(self, conn: Connection, go_on: Callable[[], None]) -> None:
        try:
            self._listen(conn, go_on)
        finally:
            self._is_listening.clear()

    def _listen(self, conn: Connection, go_on: Callable[[], None]) -> None:
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
            consumer.consume()
            go_on()
        self._is_listening.set()
        self.ask(None)
        while not self._stop.is_set():
            go_on()
            # Only here: what came back while this process slept is read first.
            with contextlib.suppress(TimeoutError):
                conn.drain_events(timeout=self._patience())
                continue
            self._watch.check_late()

    def _patience(self) -> float:
        late_s = self._watch.until_late()
        # Never none: that much is read first of what lies there.
        return DRAIN_S if late_s is None else min(DRAIN_S, max(0.01, late_s))

    def _on_own(self, body: Any, _message: Any) -> None:
        self._watch.came_back(body)

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
        if ticket == pidbox.LOOK:
            self._round.answered(node, now)
        if ticket == pidbox.READY:
            self._table.forget(node)
            self.ask_soon(node)
        elif isinstance(said, dict) and "error" in said:
            log.warning("%s refused %s: %s", node, ticket, said["error"])
        elif ticket in _LOOKS and self._table.take(node, said, now):
            self._wishes.heard(node)
            self._on_news(node)

    # -- the asker

    def _ask(self, conn: Connection, go_on: Callable[[], None]) -> None:
        self._wishes.forget_questions()
        producer = Producer(conn.channel())
        next_pulse = self._clock.monotonic()
        while not self._stop.is_set():
            go_on()
            if self._clock.monotonic() >= next_pulse and self._is_listening.is_set():
                self._send_pulse(producer)
                next_pulse = self._clock.monotonic() + self._until_next_pulse()
            self._handle(conn, producer, self._wishes.take(next_pulse))
            # One question for all of them: every node of the broker gets to see it.
            if due := self._wishes.due():
                self._put_question(producer, Question(pidbox.LOOK, {}, tuple(due)))

    def _until_next_pulse(self) -> float:
        """More often while none has come back: the first may go out before we listen."""
        return self._pulse_interval_s if self.pulse.is_well else PULSE_RETRY_S

    def _handle(self, conn: Connection, producer: Producer, wish: Question | Drop | None) -> None:
        if isinstance(wish, Question):
            self._put_question(producer, wish)
        elif isinstance(wish, Drop) and self._wishes.is_wanted(wish):
            self._give_back(wish)
            _delete(conn, wish.queue)
            self._unbind_mailbox(conn, wish.node)
            self._wishes.keep(wish.queue)

    def _give_back(self, wish: Drop) -> None:
        """What a worker that was killed had taken is for others: it does not come again."""
        if not self.url.startswith("redis"):
            return
        conn = connections.connection(self.url, **cyme_unacked.options(wish.node))
        try:
            bounded.connect(conn)
            count = cyme_unacked.give_back(conn, dict(wish.exchanges))
        finally:
            bounded.let_go(conn)
        if count:
            log.info("%d messages that %s had taken go back to their queues", count, wish.node)

    def _unbind_mailbox(self, conn: Connection, node: str) -> None:
        """On Redis a worker that was killed leaves the binding of its mailbox for ever."""
        if self.url.startswith("redis"):
            with conn.channel() as channel:
                mailbox = pidbox.mailbox(node)(channel)
                mailbox.declare()
                mailbox.delete()

    def _put_question(self, producer: Producer, question: Question) -> None:
        if self.url.startswith("redis"):
            pidbox.bind_reply_queue(producer.channel, self._address)
        expires_at = self._clock.now().timestamp() + pidbox.QUESTION_EXPIRES_S
        if isinstance(question.nodes, str):
            self._round.asked(self._clock.monotonic())
        pidbox.ask(
            producer,
            question.command,
            question.arguments,
            question.nodes,
            self._address,
            expires_at,
        )

    def _send_pulse(self, producer: Producer) -> None:
        producer.publish(
            self._watch.sending(),
            exchange=self._exchange,
            declare=[self._exchange],
            serializer="json",
            retry=False,
        )


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
