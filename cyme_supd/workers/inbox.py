"""What comes in a queue, at any number of brokers: stored, and only then acknowledged.

A message is taken again by whoever is killed before that, so what it says has to
be as good twice. Several may take from one queue, each with a name of its own.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from kombu import Connection, Consumer

from cyme_supd.brokers import connections
from cyme_supd.brokers.reconnecting import keep_connected
from cyme_supd.clock import Clock
from cyme_supd.domain.broker import parse_broker
from cyme_supd.errors import CymeError, Invalid
from cyme_supd.workers import reports, taking
from cyme_supd.workers.boot import cyme_unacked
from cyme_supd.workers.sharing import Sharers

log = logging.getLogger(__name__)

#: How long one look lasts while nothing comes; also how soon a thread ends.
IDLE_S = 1.0
#: After some are stored, others gather for this long; the first one of all
#: waits for nothing.
GATHER_S = 0.05
#: How long those that are on their way are waited for.
NEXT_S = 0.002
#: Messages that are stored together, about.
MOST = 200
RETRY_S = 1.0
#: How often copies of messages that somebody else took are dropped.
FORGET_EVERY_S = 60.0
#: Who takes for so long has heard of all that there is.
STEADY_S = 60.0
#: How often the broker is asked whether anything is left.
LOOK_EVERY_S = 5.0
#: A broker gives what somebody who stands still has taken to the others.
HEARTBEAT_S = 10.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Post(Generic[T]):
    """What is taken from *queue*: ``read`` says what is in a message's body.

    ``save`` stores it; where it raises a ``CymeError`` that is tried again, and
    ``Invalid`` is for what can never be stored. ``sharer`` is who takes, of those
    who share the queue; without one nobody else does.
    """

    label: str
    queue: str
    read: Callable[[Any], list[T]]
    save: Callable[[Sequence[T]], None]
    sharer: str = ""


class Inboxes(Generic[T]):
    """One thread a broker. *post* says what it takes there, by the broker's URL."""

    def __init__(
        self,
        post: Callable[[str], Post[T]],
        clock: Clock,
        beat: Callable[[str], None],
        retire: Callable[[str], None],
    ) -> None:
        self._post = post
        self._clock = clock
        self._beat = beat
        self._retire = retire
        self._inboxes: dict[str, Inbox[T]] = {}

    def use(self, brokers: Iterable[str]) -> None:
        """Take from exactly these brokers from now on."""
        wanted = set(brokers)
        for url in self._inboxes.keys() - wanted:
            inbox = self._inboxes.pop(url)
            inbox.stop()
            self._retire(inbox.name)
        for url in wanted - self._inboxes.keys():
            self._inboxes[url] = Inbox(url, self._post(url), self._clock, self._beat)
            self._inboxes[url].start()

    def silence_s(self, url: str) -> float | None:
        """How long what comes from there may not have been stored; ``None`` where nobody knows."""
        inbox = self._inboxes.get(url)
        return None if inbox is None else inbox.silence_s()


class Inbox(Generic[T]):
    def __init__(self, url: str, post: Post[T], clock: Clock, beat: Callable[[str], None]) -> None:
        self.name = f"{post.label}:{parse_broker(url).key}"
        self._url = url
        self._post = post
        self._sharers = Sharers(url, post.queue, post.sharer) if post.sharer else None
        self._clock = clock
        self._beat = beat
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._waiting: list[Any] = []
        # Since when it takes without a break, and when nothing was left last.
        self._since: float | None = None
        self._empty_at: float | None = None

    def start(self) -> None:
        threading.Thread(target=self._run, name=self.name, daemon=True).start()

    def stop(self) -> None:
        """Let the thread end; it is not waited for, nor shows signs of life any more."""
        with self._lock:
            self._stop.set()

    def silence_s(self) -> float | None:
        """Seconds since all that had come until then was stored.

        ``None`` where it has not been taking for as long as a minute, or has not
        come to an end of it yet.
        """
        now, since, empty_at = self._clock.monotonic(), self._since, self._empty_at
        if since is None or empty_at is None or now - since < STEADY_S:
            return None
        return now - empty_at

    def _moved(self) -> None:
        with self._lock:
            if not self._stop.is_set():
                self._beat(self.name)

    def _run(self) -> None:
        # Where what is in the way is a message that nobody can read, it is gone by
        # the next time, or will be refused.
        keep_connected(
            self._connection,
            self._serve,
            self._stop.is_set,
            self._stop.wait,
            log,
            f"{self.name} waits",
        )

    def _connection(self) -> Connection:
        self._moved()
        connection = connections.connection(
            self._url, transport=taking.transport_of(self._url), **self._options()
        )
        if self._sharers is not None:
            connection.heartbeat = HEARTBEAT_S
        return connection

    def _serve(self, connection: Connection) -> None:
        # What was taken and not acknowledged comes again.
        self._waiting.clear()
        try:
            self._listen(connection)
        finally:
            self._since = self._empty_at = None

    def _options(self) -> dict[str, Any]:
        if not self._url.startswith("redis"):
            return {}
        return self._sharers.options() if self._sharers else cyme_unacked.options(self._post.queue)

    def _listen(self, connection: Connection) -> None:
        cyme_unacked.give_back(connection, {})
        taking.put_again(connection, [self._post.queue])
        channel = connection.channel()
        if isinstance(channel, taking.Channel):
            channel.most = MOST
        consumer = Consumer(
            channel,
            [reports.results_queue(self._post.queue)],
            on_message=self._waiting.append,
            on_decode_error=self._drop,
            prefetch_count=2 * MOST,
            accept=["json"],
        )
        next_forget = self._clock.monotonic() + FORGET_EVERY_S
        next_look = 0.0
        with consumer:
            self._since = self._clock.monotonic()
            while not self._stop.is_set():
                self._moved()
                _beat(connection)
                if self._clock.monotonic() >= next_forget:
                    next_forget = self._clock.monotonic() + FORGET_EVERY_S
                    taking.forget_copies(connection)
                self._take(connection)
                if self._waiting:
                    self._settle(connection)
                    self._stop.wait(GATHER_S)
                if self._clock.monotonic() >= next_look:
                    next_look = self._clock.monotonic() + LOOK_EVERY_S
                    self._look(connection, channel)

    def _take(self, connection: Connection) -> None:
        """All that is there; where that is nothing, the first to come within a while."""
        with contextlib.suppress(TimeoutError):
            connection.drain_events(timeout=IDLE_S)
            while len(self._waiting) < MOST:
                connection.drain_events(timeout=NEXT_S)

    def _look(self, connection: Connection, channel: Any) -> None:
        """Note whether all is stored that had come; raises where the broker does not say."""
        at = self._clock.monotonic()
        if self._sharers is not None:
            self._sharers.look(connection)
        if taking.depth(channel, self._post.queue) == 0 and not self._waiting:
            self._empty_at = at

    def _settle(self, connection: Connection) -> None:
        """Store what has come, and only then acknowledge it."""
        said = [each for message in self._waiting for each in self._post.read(message.body)]
        while not self._is_saved(said):
            self._moved()
            _beat(connection)
            if self._stop.wait(RETRY_S):
                return
        _acknowledge(self._waiting)
        self._waiting.clear()

    def _is_saved(self, said: Sequence[T]) -> bool:
        try:
            if said:
                self._post.save(said)
            return True
        except Invalid as exc:
            if len(said) > 1:
                return all([self._is_saved([each]) for each in said])
            log.warning("%s: what is said cannot be stored: %s", self.name, exc)
            return True
        except CymeError as exc:
            log.warning("%s: %d are kept back: %s", self.name, len(said), exc)
            return False

    def _drop(self, message: Any, exc: Exception) -> None:
        log.warning("%s: a message cannot be read: %r", self.name, exc)
        message.ack()


def _beat(connection: Connection) -> None:
    if connection.heartbeat and connection.supports_heartbeats:
        connection.heartbeat_check()


def _acknowledge(messages: Sequence[Any]) -> None:
    """All of them, in the order they came, by one command."""
    last = messages[-1]
    if isinstance(last.channel, taking.Channel):
        last.channel.acknowledge([message.delivery_tag for message in messages])
    else:
        last.ack(multiple=True)
