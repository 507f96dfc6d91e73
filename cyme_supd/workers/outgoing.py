"""Messages to one broker, from many threads, each there when the call returns."""

from __future__ import annotations

import contextlib
import json
import queue
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from kombu import Connection

from cyme_supd.brokers import bounded
from cyme_supd.brokers.bounded import let_go
from cyme_supd.brokers.connections import broken
from cyme_supd.errors import CymeError, Unavailable
from cyme_supd.workers.confirms import Confirms, Refused
from cyme_supd.workers.taking import transport_of

JSON = "application/json"
#: AMQP's code for a message that no queue took.
NO_ROUTE = 312


@dataclass(frozen=True, slots=True)
class Message:
    """A message in JSON, kept by the broker over its restart; ``id`` tells it from others."""

    id: str
    body: bytes
    headers: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)


class NoRoute(CymeError):
    """There is no such queue at the broker."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A connection; without ``confirms`` it puts all of a call's messages or none."""

    connection: Connection
    channel: Any
    confirms: Confirms | None = None


class Outgoing:
    """Puts messages into queues of the broker at *url*, by the queues' names.

    A connection serves one thread at a time and is kept for the next one.
    Every step has *timeout_s*: a broker that hangs is like one that is gone.
    Each message is confirmed, all of a call's at once; with *is_whole*, they are
    put there together or not at all, which takes brokers longer.
    """

    def __init__(self, url: str, timeout_s: float, is_whole: bool = False) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._is_whole = is_whole
        self._idle: queue.LifoQueue[_Kept] = queue.LifoQueue()
        self._is_closed = False

    def put(self, name: str, messages: Sequence[Message]) -> None:
        """Raises :exc:`NoRoute`, or ``Unavailable`` when the broker is not to be had."""
        if self.put_each([(name, message) for message in messages]):
            raise NoRoute(f"the broker has no queue {name!r}")

    def put_each(self, letters: Sequence[tuple[str, Message]]) -> set[str]:
        """Put each message into the queue it is with; which of these the broker has not.

        With *is_whole* nothing is put if one of them is not there. Raises ``Unavailable``,
        which is :exc:`.Refused` where the broker has taken the others.
        """
        kept = self._take()
        if kept is not None:
            begun = time.monotonic()
            try:
                return self._use(kept, letters)
            except Refused:
                raise
            except Unavailable:
                # What was broken already is told at once, and says nothing of
                # the broker as it is now; one that hangs takes its time.
                if time.monotonic() - begun >= self._timeout_s:
                    raise
        return self._use(self._connect(), letters)

    @contextlib.contextmanager
    def channel(self) -> Iterator[Any]:
        """A channel of its own, for what may break it; ``Unavailable`` if that is the broker."""
        connection = self._connect().connection
        try:
            yield connection.channel()
        except broken(connection) as exc:
            raise Unavailable(f"the broker went away: {exc}", "ask again") from exc
        finally:
            let_go(connection)

    def close(self) -> None:
        """Drop the connections that are idle, and those that others still use when they are."""
        self._is_closed = True
        self._drop_idle()

    def _drop_idle(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                let_go(self._idle.get_nowait().connection)

    def _use(self, kept: _Kept, letters: Sequence[tuple[str, Message]]) -> set[str]:
        connection = kept.connection
        try:
            missing = self._publish(kept, letters)
        except BaseException as exc:
            # Never used again: an answer may still be on its way.
            let_go(connection)
            if not isinstance(exc, broken(connection)):
                raise
            # Those that wait beside it have broken with it.
            self._drop_idle()
            raise Unavailable(f"the broker does not take it: {exc}", "ask again") from exc
        self._idle.put(kept)
        if self._is_closed:
            self._drop_idle()
        return missing

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
            if not _is_amqp(connection):
                return _Kept(connection, channel)
            if self._is_whole:
                channel.tx_select()
                return _Kept(connection, channel)
            return _Kept(connection, channel, Confirms(channel))
        except broken(connection) as exc:
            let_go(connection)
            raise Unavailable(f"the broker is not to be had: {exc}", "ask again") from exc

    def _options(self) -> dict[str, Any]:
        if self._url.startswith("redis"):
            return {"socket_timeout": self._timeout_s, "socket_connect_timeout": self._timeout_s}
        return {"read_timeout": self._timeout_s, "write_timeout": self._timeout_s}

    def _publish(self, kept: _Kept, letters: Sequence[tuple[str, Message]]) -> set[str]:
        if not _is_amqp(kept.connection):
            for name, group in _by_queue(letters).items():
                kept.channel.put(name, [prepared_for(kept.channel, each) for each in group])
            return set()
        if kept.confirms is None:
            return _publish_whole(kept, letters)
        for name, message in letters:
            kept.confirms.publish(name, _amqp_message(kept.channel, message))
        return kept.confirms.wait(partial(kept.connection.drain_events, timeout=self._timeout_s))


def _publish_whole(kept: _Kept, letters: Sequence[tuple[str, Message]]) -> set[str]:
    try:
        for name, message in letters:
            prepared = _amqp_message(kept.channel, message)
            kept.channel.basic_publish(prepared, exchange="", routing_key=name, mandatory=True)
        kept.channel.tx_commit()
    except kept.connection.channel_errors as exc:
        if getattr(exc, "reply_code", None) == NO_ROUTE:
            raise NoRoute("the broker has no queue of that name") from None
        raise
    return set()


def _by_queue(letters: Sequence[tuple[str, Message]]) -> dict[str, list[Message]]:
    groups: dict[str, list[Message]] = {}
    for name, message in letters:
        groups.setdefault(name, []).append(message)
    return groups


def _amqp_message(channel: Any, message: Message) -> Any:
    properties = {"delivery_mode": 2, "correlation_id": message.id, **message.properties}
    return channel.prepare_message(
        message.body, None, JSON, "utf-8", message.headers or None, properties
    )


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
