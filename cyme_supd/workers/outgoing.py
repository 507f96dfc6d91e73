"""Messages to one broker, from many threads, each there when the call returns."""

from __future__ import annotations

import contextlib
import json
import queue
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from kombu import Connection, Producer

from cyme_supd.brokers import bounded
from cyme_supd.brokers.bounded import let_go
from cyme_supd.brokers.connections import broken
from cyme_supd.errors import CymeError, Unavailable
from cyme_supd.workers.taking import transport_of

JSON = "application/json"
#: AMQP's code for a message that no queue took.
NO_ROUTE = 312

_Kept = tuple[Connection, Producer]


@dataclass(frozen=True, slots=True)
class Message:
    """A message in JSON, kept by the broker over its restart; ``id`` tells it from others."""

    id: str
    body: bytes
    headers: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)


class NoRoute(CymeError):
    """There is no such queue at the broker."""


class Outgoing:
    """Puts messages into queues of the broker at *url*, by the queues' names.

    A connection serves one thread at a time and is kept for the next one.
    Every step has *timeout_s*: a broker that hangs is like one that is gone.
    A message is confirmed one by one; with *is_whole*, all of a call's are
    put there together or not at all.
    """

    def __init__(self, url: str, timeout_s: float, is_whole: bool = False) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._is_whole = is_whole
        self._idle: queue.LifoQueue[_Kept] = queue.LifoQueue()

    def put(self, name: str, messages: Sequence[Message]) -> None:
        """Raises :exc:`NoRoute`, or ``Unavailable`` when the broker is not to be had."""
        kept = self._take()
        if kept is not None:
            begun = time.monotonic()
            try:
                self._use(kept, name, messages)
                return
            except Unavailable:
                # What was broken already is told at once, and says nothing of
                # the broker as it is now; one that hangs takes its time.
                if time.monotonic() - begun >= self._timeout_s:
                    raise
        self._use(self._connect(), name, messages)

    @contextlib.contextmanager
    def channel(self) -> Iterator[Any]:
        """A channel of its own, for what may break it; ``Unavailable`` if that is the broker."""
        connection, _ = self._connect()
        try:
            yield connection.default_channel
        except broken(connection) as exc:
            raise Unavailable(f"the broker went away: {exc}", "ask again") from exc
        finally:
            let_go(connection)

    def close(self) -> None:
        """Drop the connections that are idle."""
        with contextlib.suppress(queue.Empty):
            while True:
                let_go(self._idle.get_nowait()[0])

    def _use(self, kept: _Kept, name: str, messages: Sequence[Message]) -> None:
        connection, producer = kept
        try:
            self._publish(producer, name, messages)
        except BaseException as exc:
            # Never used again: an answer may still be on its way.
            let_go(connection)
            if not isinstance(exc, broken(connection)):
                raise
            # Those that wait beside it have broken with it.
            self.close()
            raise Unavailable(f"the broker does not take it: {exc}", "ask again") from exc
        self._idle.put(kept)

    def _take(self) -> _Kept | None:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            return None

    def _connect(self) -> _Kept:
        connection = Connection(
            self._url,
            transport=transport_of(self._url),
            connect_timeout=self._timeout_s,
            transport_options=self._options(),
            heartbeat=0,
        )
        try:
            # Not kombu's own connect(): it waits for two seconds and tries again.
            bounded.connect(connection, 2 * self._timeout_s)
            channel = connection.default_channel
            if self._is_whole and _is_amqp(connection):
                channel.tx_select()
            return connection, Producer(channel)
        except broken(connection) as exc:
            let_go(connection)
            raise Unavailable(f"the broker is not to be had: {exc}", "ask again") from exc

    def _options(self) -> dict[str, Any]:
        if self._url.startswith("redis"):
            return {"socket_timeout": self._timeout_s, "socket_connect_timeout": self._timeout_s}
        return {
            "read_timeout": self._timeout_s,
            "write_timeout": self._timeout_s,
            "confirm_publish": not self._is_whole,
        }

    def _publish(self, producer: Producer, name: str, messages: Sequence[Message]) -> None:
        if not _is_amqp(producer.connection):
            producer.channel.put(name, [prepared_for(producer.channel, each) for each in messages])
            return
        try:
            for message in messages:
                producer.publish(
                    message.body,
                    # The default exchange: to this queue and to no other,
                    # whatever exchange it is bound to, with whatever pattern.
                    exchange="",
                    routing_key=name,
                    content_type=JSON,
                    content_encoding="utf-8",
                    delivery_mode=2,
                    mandatory=True,
                    headers=message.headers,
                    retry=False,
                    correlation_id=message.id,
                    **message.properties,
                )
            if self._is_whole:
                producer.channel.tx_commit()
        except producer.connection.channel_errors as exc:
            if getattr(exc, "reply_code", None) == NO_ROUTE:
                raise NoRoute(f"the broker has no queue {name!r}") from None
            raise


def prepared_for(channel: Any, message: Message) -> tuple[str, dict[str, Any]]:
    """The message as kombu's channels on Redis keep it, with its id."""
    properties = {"delivery_mode": 2, "correlation_id": message.id, **message.properties}
    return message.id, channel.prepare_message(
        message.body.decode(), 0, JSON, "utf-8", message.headers, properties
    )


def as_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _is_amqp(connection: Connection) -> bool:
    return bool(connection.transport.driver_type == "amqp")
