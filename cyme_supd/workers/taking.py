"""Takes messages from Redis so that none is ever between two places.

kombu pops a message, and writes down that it was taken when it has arrived:
one that was popped for a process killed in that moment is gone. Here the
server does both in one step. Only where there is nothing to take kombu's own
way of waiting is used, so what is left of the gap is the round trip of a
message that finds its consumer idle.
"""

from __future__ import annotations

import json
from time import monotonic, time
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, virtual
from kombu.transport import redis as kombu_redis
from kombu.transport.virtual import Empty

#: KEYS: the hash of what is taken, its index by time, then the lists to look
#: into, in order. ARGV: the time. What it stores is what kombu's QoS does.
TAKE = """
for i = 3, #KEYS do
  local item = redis.call('RPOP', KEYS[i])
  if item then
    local is_whole, message = pcall(cjson.decode, item)
    if is_whole then
      local properties = message['properties']
      local info = properties['delivery_info']
      local tag = properties['delivery_tag']
      redis.call('ZADD', KEYS[2], ARGV[1], tag)
      redis.call('HSET', KEYS[1], tag, '[' .. item .. ',' .. cjson.encode(info['exchange'])
        .. ',' .. cjson.encode(info['routing_key']) .. ']')
    end
    return {KEYS[i], item}
  end
end
return nil
"""


class QoS(kombu_redis.QoS):  # type: ignore[misc]
    """Does not write down again what was written down when it was taken."""

    def append(self, message: Any, delivery_tag: str) -> None:
        if self.channel.taken != delivery_tag:
            super().append(message, delivery_tag)
            return
        self.channel.taken = None
        virtual.QoS.append(self, message, delivery_tag)


class Channel(kombu_redis.Channel):  # type: ignore[misc]
    QoS = QoS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # The tag of the message that is being delivered.
        self.taken: str | None = None
        self._is_looking = False
        self._is_plain = False
        super().__init__(*args, **kwargs)

    def basic_consume(self, queue: str, no_ack: bool, *args: Any, **kwargs: Any) -> Any:
        # What nobody acknowledges is not to be written down either; and
        # prefixes are put before the keys of commands that kombu knows.
        self._is_plain = self._is_plain or no_ack or bool(self.global_keyprefix)
        return super().basic_consume(queue, no_ack, *args, **kwargs)

    def _brpop_start(self, timeout: float | None = None) -> None:
        queues = self._queue_cycle.consume(len(self.active_queues))
        if self._is_plain or not queues:
            super()._brpop_start(timeout)
            return
        lists = [self._q_for_pri(queue, step) for step in self.priority_steps for queue in queues]
        keys = [self.unacked_key, self.unacked_index_key, *lists]
        self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        self._is_looking = True
        self.client.connection.send_command("EVAL", TAKE, len(keys), *keys, time())

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
        self._deliver_taken(json.loads(found[1]), queue)
        return True

    def _look(self) -> Any:
        try:
            return self.client.parse_response(self.client.connection, "EVAL")
        except self.connection_errors:
            # The next look is on a new one.
            self._in_poll = None
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


def install() -> None:
    """Have every connection to Redis that this process makes take messages so."""
    here = f"{__name__}:{Transport.__name__}"
    TRANSPORT_ALIASES.update(redis=here, rediss=here)
