"""Messages and events from RabbitMQ, as they are: nothing is decoded or decompressed here.

Two queues: the platform queue, and one of the monitor's own for the events of workers,
which keeps them while no monitor is there. Of several monitors one alone gets events.
"""

from __future__ import annotations

import contextlib
import time
from functools import partial
from typing import Any
from uuid import uuid4

from kombu import Connection, Exchange, Queue

from cyme_supd.domain.taskmessage import Message
from cyme_supd.domain.tracking import Place
from cyme_supd.monitor.reading import Letter

EVENT_EXCHANGE = "celeryev"
#: While no monitor is there events are kept for so long, and so many.
KEPT_S = 86_400.0
MOST_WAITING = 1_000_000
#: Messages and bytes that are committed together, about.
MOST, MOST_BYTES = 1000, 16 * 1024 * 1024
#: For how long more of them are waited for, and for each.
GATHER_S, NEXT_S = 0.25, 0.005


def events_queue(place: Place) -> str:
    return f"cyme.events.{place.queue}"


class AmqpTaker:
    """``server`` tells a run of the broker from the next, ``is_whole`` that no event has
    been lost since a monitor was last here."""

    def __init__(self, connection: Connection, place: Place) -> None:
        self._connection = connection
        self._channel = connection.channel()
        topic = Exchange(place.exchange, type="topic")
        Queue(place.queue, topic, routing_key="#")(self._channel).declare()
        events = events_queue(place)
        is_there = self._is_there(events)
        self._declare_events(events)
        self.server, has_run_on = self._run(f"{events}.run")
        self.is_whole = is_there and has_run_on
        self._letters: list[Letter] = []
        self._size = 0
        self._last = self._taken = 0
        self._pinged_at = time.monotonic()
        self._queue = place.queue
        # For all consumers of the channel at once, so that all can be acknowledged at once.
        self._channel.basic_qos(0, 2 * MOST, True)
        for name, is_event in ((place.queue, False), (events, True)):
            self._channel.basic_consume(queue=name, callback=partial(self._came, is_event))

    def take(self, wait_s: float) -> list[Letter]:
        """All that is there, up to a bound; where that is nothing, what comes within a while."""
        # Some may have come already, with an answer that was waited for.
        self._ping()
        with contextlib.suppress(TimeoutError):
            if not self._letters:
                self._connection.drain_events(timeout=wait_s)
            until = time.monotonic() + GATHER_S
            while not self._is_full() and time.monotonic() < until:
                self._connection.drain_events(timeout=NEXT_S)
        taken, self._letters, self._size = self._letters, [], 0
        # What has been acknowledged is not to be so again: that is an error.
        self._taken = self._last if taken else 0
        return taken

    def done(self) -> None:
        """Acknowledge all that was taken."""
        if self._taken:
            self._channel.basic_ack(self._taken, multiple=True)
            self._taken = 0

    def _is_full(self) -> bool:
        return len(self._letters) >= MOST or self._size >= MOST_BYTES

    def _came(self, is_event: bool, raw: Any) -> None:
        self._last = raw.delivery_info["delivery_tag"]
        self._size += len(raw.body)
        self._letters.append(Letter(_message(raw), is_event))

    def _ping(self) -> None:
        """A line that was cut is quiet: the broker is asked something now and then."""
        if time.monotonic() - self._pinged_at > 15.0:
            self._pinged_at = time.monotonic()
            self._channel.queue_declare(self._queue, passive=True)

    def _declare_events(self, name: str) -> None:
        with self._connection.channel() as channel:
            Queue(
                name,
                Exchange(EVENT_EXCHANGE, type="topic"),
                routing_key="#",
                expires=KEPT_S,
                max_length=MOST_WAITING,
                queue_arguments={"x-single-active-consumer": True},
            )(channel).declare()

    def _run(self, name: str) -> tuple[str, bool]:
        """The broker's run, by a queue that does not outlive it, and whether it was there.

        Events do not outlive it either.
        """
        if self._is_there(name):
            return "", True
        with self._connection.channel() as channel:
            channel.queue_declare(
                name, durable=False, auto_delete=False, arguments={"x-expires": int(KEPT_S * 1000)}
            )
        return uuid4().hex, False

    def _is_there(self, name: str) -> bool:
        with self._connection.channel() as channel:
            try:
                channel.queue_declare(name, passive=True)
            except self._connection.channel_errors:
                return False
        return True


def _message(raw: Any) -> Message:
    said, info = raw.properties, raw.delivery_info
    return Message(
        raw.body,
        said.get("content_type", ""),
        said.get("content_encoding", ""),
        said.get("application_headers") or {},
        {"priority": said.get("priority")},
        info.get("exchange", ""),
        info.get("routing_key", ""),
    )
