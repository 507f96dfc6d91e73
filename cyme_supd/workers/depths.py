"""Queues as their broker has them: what waits in them, and emptying them.

Celery has no words for this, so a broker is asked in its own: RabbitMQ by
AMQP, Redis for the lists that kombu keeps there.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from kombu import Connection

from cyme_supd.brokers import connections
from cyme_supd.domain.age import ALONE, Look, sent_at
from cyme_supd.domain.orphans import Waiting
from cyme_supd.domain.status import Depth
from cyme_supd.errors import Conflict, Unavailable
from cyme_supd.workers.taking import copies_of

#: For each step of asking for a depth. One that hangs does so at the first,
#: and at worst once more when it is let go: together well under a second.
DEPTH_TIMEOUT_S = 0.3
#: On Redis a queue is a list for each priority in use, and the one that bears
#: its name alone. Which ones are in use is a setting of whoever sends.
PRIORITIES = range(1, 10)
#: Looked at in one queue: this many messages, and no more bytes of them.
MOST_MESSAGES, MOST_BYTES = 100, 1024 * 1024
#: KEYS: lists. ARGV: these limits. What is taken next comes first.
PEEK = """
local found, size = {}, 0
for _, key in ipairs(KEYS) do
  for i = 1, math.min(redis.call('LLEN', key), ARGV[1] - #found) do
    local item = redis.call('LINDEX', key, -i)
    size = size + #item
    if size > tonumber(ARGV[2]) then return found end
    found[#found + 1] = item
  end
end
return found
"""
#: KEYS: lists. ARGV: the longest message that is shown. Of each list how long it is, and
#: of what is taken next the sum and the message.
FRONTS = """
local found = {}
for i, key in ipairs(KEYS) do
  local item = redis.call('LINDEX', key, -1)
  found[i] = {redis.call('LLEN', key)}
  if item then
    found[i][2] = redis.sha1hex(item)
    found[i][3] = #item <= tonumber(ARGV[1]) and item or ''
  end
end
return found
"""
#: Of one message, to see when it was sent.
MOST_SHOWN = 16 * 1024
_NOT_FOUND = 404

_Answer = TypeVar("_Answer")


class BrokerQueues:
    """Asks on a new connection each time: it is safe to share between threads."""

    def depth(self, broker: str, queue: str) -> Depth | None:
        conn = connections.connection(broker, DEPTH_TIMEOUT_S, DEPTH_TIMEOUT_S)
        try:
            with _channel(conn) as channel:
                return _speaker(conn).depth(channel, queue)
        except connections.broken(conn):
            return None

    def depths(self, broker: str, queues: Sequence[str]) -> dict[str, Depth]:
        conn = connections.connection(broker, DEPTH_TIMEOUT_S, DEPTH_TIMEOUT_S)
        found: dict[str, Depth] = {}
        with suppress(*connections.broken(conn)):
            found.update(_each(conn, queues, _speaker(conn).depth))
        return found

    def looks(self, broker: str, queues: Sequence[str]) -> dict[str, Look]:
        """What is seen of each queue, by way of one connection; none of a broker that is down.

        Nor of a queue that the broker does not tell of.
        """
        conn = connections.connection(broker, DEPTH_TIMEOUT_S, DEPTH_TIMEOUT_S)
        found: dict[str, Look] = {}
        with suppress(*connections.broken(conn)):
            for queue, look in _each(conn, queues, _speaker(conn).look):
                found[queue] = look
        return found

    def waiting(self, broker: str, queues: Sequence[str]) -> dict[str, Waiting]:
        conn = connections.connection(broker, DEPTH_TIMEOUT_S, DEPTH_TIMEOUT_S)
        try:
            return dict(_each(conn, queues, _speaker(conn).waiting))
        except connections.broken(conn) as exc:
            raise Unavailable(f"the broker of {queues[0]!r} does not answer: {exc}") from exc

    def purge(self, broker: str, queue: str) -> int:
        conn = connections.connection(broker)
        try:
            with _channel(conn) as channel:
                return _speaker(conn).purge(channel, queue)
        except conn.channel_errors as exc:
            raise Conflict(f"the broker does not let {queue!r} be emptied: {exc}") from exc
        except connections.broken(conn) as exc:
            raise Unavailable(f"the broker of {queue!r} does not answer: {exc}") from exc


@contextmanager
def _channel(conn: Connection) -> Iterator[Any]:
    with _connected(conn) as connected:
        yield conn.transport.create_channel(connected)


@contextmanager
def _connected(conn: Connection) -> Iterator[Any]:
    # Not by conn.channel(): that connects twice, with two seconds in between.
    transport = conn.transport
    connected = transport.establish_connection()
    try:
        yield connected
    finally:
        transport.close_connection(connected)


def _each(
    conn: Connection, queues: Sequence[str], ask: Callable[[Any, str], _Answer]
) -> Iterator[tuple[str, _Answer]]:
    """Every queue of which the broker answers, with the answer."""
    with _connected(conn) as connected:
        for queue in queues:
            # A queue that is not there, or not for us, closes the channel.
            channel = conn.transport.create_channel(connected)
            with suppress(*conn.channel_errors):
                yield queue, ask(channel, queue)
            channel.close()


class _Amqp:
    def depth(self, channel: Any, queue: str) -> Depth:
        try:
            found = channel.queue_declare(queue, passive=True)
        except channel.connection.channel_errors as exc:
            if not _is_missing(exc):
                raise
            return Depth(0, 0)
        return Depth(found.message_count, found.consumer_count)

    def look(self, channel: Any, queue: str) -> Look:
        depth = self.depth(channel, queue)
        return Look(depth.messages, frozenset() if depth.consumers else frozenset({ALONE}))

    def waiting(self, channel: Any, queue: str) -> Waiting:
        # Who is shown a message has taken it, and marks it when it goes back.
        return Waiting(self.depth(channel, queue))

    def purge(self, channel: Any, queue: str) -> int:
        try:
            return int(channel.queue_purge(queue))
        except channel.connection.channel_errors as exc:
            if not _is_missing(exc):
                raise
            return 0


class _Redis:
    def depth(self, channel: Any, queue: str) -> Depth:
        with channel.client.pipeline(transaction=False) as pipe:
            for key in _lists(channel, queue):
                pipe.llen(key)
            return Depth(sum(pipe.execute()), None)

    def look(self, channel: Any, queue: str) -> Look:
        keys = _lists(channel, queue)
        found = channel.client.execute_command("EVAL", FRONTS, len(keys), *keys, MOST_SHOWN)
        fronts = [each[1:] for each in found if len(each) > 1]
        messages = [_loaded(item) for _, item in fronts]
        signs = frozenset(digest.decode() for digest, _ in fronts)
        return Look(sum(each[0] for each in found), signs, sent_at(messages))

    def waiting(self, channel: Any, queue: str) -> Waiting:
        depth, keys = self.depth(channel, queue), _lists(channel, queue)
        found: list[bytes] = []
        if depth.messages:
            limits = (MOST_MESSAGES, MOST_BYTES)
            found = channel.client.execute_command("EVAL", PEEK, len(keys), *keys, *limits)
        tasks = Counter(name for name in map(_task_of, found) if name)
        return Waiting(depth, tasks, len(found))

    def purge(self, channel: Any, queue: str) -> int:
        # By trimming, which is refused for what is no list: a queue may be
        # called like any other key that is there.
        with channel.client.pipeline(transaction=True) as pipe:
            for key in _lists(channel, queue):
                pipe.llen(key).ltrim(key, 1, 0)
            pipe.delete(copies_of(queue))
            return sum(pipe.execute()[:-1:2])


def _speaker(conn: Connection) -> _Amqp | _Redis:
    return _Amqp() if conn.transport.driver_type == "amqp" else _Redis()


def _lists(channel: Any, queue: str) -> list[str]:
    return [queue, *(f"{queue}{channel.sep}{priority}" for priority in PRIORITIES)]


def _task_of(item: bytes) -> str | None:
    """The task that a message of kombu's asks for: in its headers, of old in its body."""
    try:
        message = json.loads(item)
        named = message["headers"].get("task")
        named = named or json.loads(base64.b64decode(message["body"]))["task"]
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return named if isinstance(named, str) else None


def _loaded(item: bytes) -> Any:
    """A message of kombu's; nothing of what is none, or too long to be shown."""
    try:
        return json.loads(item)
    except (ValueError, RecursionError):
        return None


def _is_missing(exc: BaseException) -> bool:
    return getattr(exc, "reply_code", None) == _NOT_FOUND
