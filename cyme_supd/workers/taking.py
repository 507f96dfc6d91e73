"""Messages on Redis that are never in no place at all.

kombu pops a message, and writes down that it was taken when it has arrived:
one that was popped for a process which was killed in that moment is gone.
Here the server does both in one step. Where there is nothing to take a
consumer has to wait in kombu's way, and a message that comes in the moment
its consumer dies is popped for nobody; so whoever puts a message leaves a
copy, which goes when the message has been taken. When a consumer starts
again, what is in no queue any more and was not taken comes back from those.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from time import monotonic, time
from typing import Any

from kombu import Connection
from kombu.transport import TRANSPORT_ALIASES, virtual
from kombu.transport import redis as kombu_redis
from kombu.transport.virtual import Empty

from cyme_supd.domain.orders import RUNNER_EXPIRES_S, RUNNER_PREFIX

#: The queues there are copies for; the copies of one are in a hash of its own.
QUEUES = "cyme.untaken"

#: KEYS: the list, the hash of copies, QUEUES. ARGV: how many messages, then id
#: and message in turn; what comes behind them is not looked at.
PUT = """
local time = redis.call('TIME')
local at = string.format('%.3f', time[1] + time[2] / 1000000)
for i = 2, 2 * ARGV[1], 2 do
  redis.call('LPUSH', KEYS[1], ARGV[i + 1])
  redis.call('HSET', KEYS[2], ARGV[i], at .. ' ' .. ARGV[i + 1])
end
redis.call('SADD', KEYS[3], KEYS[1])
"""

#: KEYS: the hash of what is taken, its index by time, then the lists to look
#: into, in order. ARGV: the time, how many messages at most, all of one list,
#: then for each list the hash of its copies. What it stores is what kombu's QoS
#: does; what comes back is the list's key and the messages.
TAKE = """
for i = 3, #KEYS do
  local items = redis.call('RPOP', KEYS[i], ARGV[2]) or {}
  for n, item in ipairs(items) do
    -- An error would end the script after it has taken the message.
    local is_whole, properties, tag, info = pcall(function()
      local found = cjson.decode(item)['properties']
      return found, found['delivery_tag'], found['delivery_info']
    end)
    if is_whole and type(tag) == 'string' and type(info) == 'table' then
      -- Those taken together keep their order, should they have to go back.
      redis.call('ZADD', KEYS[2], string.format('%.6f', ARGV[1] + n / 1000000), tag)
      redis.call('HSET', KEYS[1], tag, '[' .. item .. ',' .. cjson.encode(info['exchange'])
        .. ',' .. cjson.encode(info['routing_key']) .. ']')
      if type(properties['correlation_id']) == 'string' then
        redis.call('HDEL', ARGV[i], properties['correlation_id'])
      end
    end
  end
  if #items > 0 then return {KEYS[i], items} end
end
return nil
"""

#: KEYS: the hash of copies, QUEUES, then the queue's lists, the plain one
#: first. ARGV: from which age on a copy is put into the queue again, from
#: which on it is forgotten, and how many may wait at most: copies of what
#: waits in a list are left alone, and the list has to be read for that.
SWEEP = """
local time, count = redis.call('TIME'), 0
local now, waiting, length = time[1] + time[2] / 1000000, {}, 0
for i = 3, #KEYS do length = length + redis.call('LLEN', KEYS[i]) end
if length > tonumber(ARGV[3]) then return 0 end
for i = 3, #KEYS do
  for _, item in ipairs(redis.call('LRANGE', KEYS[i], 0, -1)) do
    waiting[string.match(item, '"correlation_id": "([^"]*)"') or ''] = true
  end
end
local copies = redis.call('HGETALL', KEYS[1])
if #copies == 0 then redis.call('SREM', KEYS[2], KEYS[3]) end
for i = 1, #copies, 2 do
  local at, item = string.match(copies[i + 1], '^([%d.]+) (.*)$')
  if not waiting[copies[i]] then
    if now - at >= tonumber(ARGV[2]) then
      redis.call('HDEL', KEYS[1], copies[i])
    elseif now - at >= tonumber(ARGV[1]) then
      redis.call('LPUSH', KEYS[3], item)
      count = count + 1
    end
  end
end
return count
"""
#: A consumer that waited when it died found nothing: since then, no more than
#: these have come. Reading as many holds the server up for some hundredths.
WAITING_AT_MOST = 10_000

#: Whoever took a message has said so by then.
TAKEN_WITHIN_S = 0.3
#: What left its queue longer ago was not lost with a consumer that has just
#: died: somebody may have emptied the queue.
LOST_WITHIN_S = 300.0


def copies_of(queue: str) -> str:
    """The key of the hash with the copies of what waits in *queue*."""
    return f"{QUEUES}.{queue}"


#: KEYS: the index by time, the hash of what is taken. ARGV: tags.
ACK = "redis.call('ZREM', KEYS[1], unpack(ARGV)) return redis.call('HDEL', KEYS[2], unpack(ARGV))"

#: KEYS: as PUT's, then as ACK's. ARGV: as PUT's, then the tags of what is done
#: with when the messages are there.
SETTLE = (
    PUT
    + """
for i = 2 * ARGV[1] + 2, #ARGV do
  redis.call('ZREM', KEYS[4], ARGV[i])
  redis.call('HDEL', KEYS[5], ARGV[i])
end
"""
)


class QoS(kombu_redis.QoS):  # type: ignore[misc]
    """Does not write down again what was written down when it was taken.

    Acknowledges by one command on a client that is kept: kombu's pipeline is
    made anew for each message, which costs more than the message.
    """

    def ack(self, delivery_tag: str) -> None:
        self.channel.acknowledge([delivery_tag])

    def append(self, message: Any, delivery_tag: str) -> None:
        if self.channel.taken == delivery_tag:
            self.channel.taken = None
            virtual.QoS.append(self, message, delivery_tag)
            return
        super().append(message, delivery_tag)
        id, info = message.properties.get("correlation_id"), message.delivery_info
        if id and not info["exchange"]:
            with self.channel.conn_or_acquire() as client:
                client.hdel(copies_of(info["routing_key"]), id)


class Channel(kombu_redis.Channel):  # type: ignore[misc]
    """Takes ``most`` messages at once: one, where each is to be left for whoever is free."""

    QoS = QoS
    most = 1

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # The tag of the message that is being delivered.
        self.taken: str | None = None
        self._is_looking = False
        self._is_plain = False
        self._acks: Any = None
        super().__init__(*args, **kwargs)

    def put(self, queue: str, messages: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Put prepared messages, each with its id, into *queue*: all or none."""
        given = self._given(queue, messages)
        if queue.startswith(RUNNER_PREFIX):
            # A runner asks for what it does not get; and it may be gone.
            self.client.execute_command("LPUSH", queue, *given[2::2])
            self.client.execute_command("EXPIRE", queue, RUNNER_EXPIRES_S)
            return
        # The client for blocking commands: this channel has none to wait for.
        self.client.execute_command("EVAL", PUT, 3, queue, copies_of(queue), QUEUES, *given)

    def acknowledge(self, tags: Sequence[str]) -> None:
        """Forget what was taken under these *tags*, at most some thousands."""
        if self.global_keyprefix:
            for tag in tags:
                kombu_redis.QoS.ack(self.qos, tag)
            return
        keys = (self.unacked_index_key, self.unacked_key)
        self._kept_client().execute_command("EVAL", ACK, 2, *keys, *tags)
        for tag in tags:
            virtual.QoS.ack(self.qos, tag)

    def settle(self, queue: str, message: tuple[str, dict[str, Any]], tags: Sequence[str]) -> None:
        """Put a prepared message, with its id, and acknowledge *tags*: all or none."""
        if self.global_keyprefix:
            self.put(queue, [message])
            self.acknowledge(tags)
            return
        keys = (queue, copies_of(queue), QUEUES, self.unacked_index_key, self.unacked_key)
        given = (*self._given(queue, [message]), *tags)
        self._kept_client().execute_command("EVAL", SETTLE, len(keys), *keys, *given)
        for tag in tags:
            virtual.QoS.ack(self.qos, tag)

    def _given(self, queue: str, messages: Iterable[tuple[str, dict[str, Any]]]) -> list[Any]:
        """What PUT is given of *messages*."""
        given: list[Any] = [0]
        for id, message in messages:
            self._inplace_augment_message(message, "", queue)
            given += (id, json.dumps(message))
        given[0] = len(given) // 2
        return given

    def sweep(self, queues: Sequence[str] | None, is_putting: bool) -> int:
        """Forget old copies of what has left *queues*, or all of them.

        If *is_putting*, put what went lost of late into its queue again;
        how many messages comes back.
        """
        limits = (
            TAKEN_WITHIN_S if is_putting else LOST_WITHIN_S,
            LOST_WITHIN_S,
            WAITING_AT_MOST if is_putting else 0,
        )
        count = 0
        with self.conn_or_acquire() as client:
            known = {name.decode() for name in client.smembers(QUEUES)}
            for queue in known if queues is None else known & set(queues):
                lists = [self._q_for_pri(queue, step) for step in self.priority_steps]
                keys = [copies_of(queue), QUEUES, *lists]
                count += client.execute_command("EVAL", SWEEP, len(keys), *keys, *limits)
        return count

    def basic_consume(self, queue: str, no_ack: bool, *args: Any, **kwargs: Any) -> Any:
        # What nobody acknowledges is not to be written down either; and
        # prefixes are put before the keys of commands that kombu knows.
        self._is_plain = self._is_plain or no_ack or bool(self.global_keyprefix)
        return super().basic_consume(queue, no_ack, *args, **kwargs)

    def _kept_client(self) -> Any:
        if self._acks is None:
            self._acks = self._create_client()
        return self._acks

    def _brpop_start(self, timeout: float | None = None) -> None:
        queues = self._queue_cycle.consume(len(self.active_queues))
        if self._is_plain or not queues:
            super()._brpop_start(timeout)
            return
        places = [(queue, step) for step in self.priority_steps for queue in queues]
        lists = [self._q_for_pri(queue, step) for queue, step in places]
        keys = [self.unacked_key, self.unacked_index_key, *lists]
        copies = [copies_of(queue) for queue, _ in places]
        self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        self._is_looking = True
        args = (time(), self.most, *copies)
        self.client.connection.send_command("EVAL", TAKE, len(keys), *keys, *args)

    def _brpop_read(self, **options: Any) -> Any:
        if not self._is_looking:
            return super()._brpop_read(**options)
        self._is_looking = False
        found = self._look()
        if not found:
            # Nothing there: from now on the server is to wait.
            super()._brpop_start()
            raise Empty
        self._in_poll = None
        queue = found[0].decode().rsplit(self.sep, 1)[0]
        self._queue_cycle.rotate(queue)
        for item in found[1]:
            self._deliver_taken(json.loads(item), queue)
        return True

    def _look(self) -> Any:
        try:
            return self.client.parse_response(self.client.connection, "EVAL")
        except Exception as exc:
            # Nobody is to wait for its answer, least of all who closes it.
            self._in_poll = None
            if isinstance(exc, self.connection_errors):
                # The next look is on a new one.
                self.client.connection.disconnect()
            raise

    def _deliver_taken(self, message: Any, queue: str) -> None:
        self.taken = message["properties"]["delivery_tag"]
        try:
            self.connection._deliver(message, queue)
        finally:
            self.taken = None


class Transport(kombu_redis.Transport):  # type: ignore[misc]
    Channel = Channel


TRANSPORT = f"{__name__}:{Transport.__name__}"


def depth(channel: Any, queue: str) -> int:
    """How many messages wait in *queue*; the broker is asked, on AMQP by that channel."""
    if channel.connection.client.transport.driver_type == "redis":
        return int(channel._size(queue))
    return int(channel.queue_declare(queue, passive=True).message_count)


def transport_of(url: str) -> str | None:
    """What a connection to *url* that puts or takes messages is to be made with."""
    return TRANSPORT if url.startswith("redis") else None


def put_again(connection: Connection, queues: Sequence[str]) -> int:
    """Put into *queues* again what a consumer that has just died was given and never got.

    How many messages; none where the broker is not Redis.
    """
    return _sweep(connection, queues, True)


def forget_copies(connection: Connection) -> None:
    """Drop the copies of what somebody else has taken out of its queue."""
    _sweep(connection, None, False)


def _sweep(connection: Connection, queues: Sequence[str] | None, is_putting: bool) -> int:
    if connection.transport.driver_type != "redis":
        return 0
    with connection.channel() as channel:
        count: int = channel.sweep(queues, is_putting)
        return count


def install() -> None:
    """Have every connection to Redis that this process makes put and take messages so."""
    TRANSPORT_ALIASES.update(redis=TRANSPORT, rediss=TRANSPORT)
