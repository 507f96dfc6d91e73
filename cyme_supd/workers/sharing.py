"""Several who take from one queue on Redis: what one has taken and left comes to the others.

Other brokers see to that by themselves.
"""

from __future__ import annotations

from typing import Any

from kombu import Connection

from cyme_supd.brokers import bounded, connections
from cyme_supd.workers import taking
from cyme_supd.workers.boot import cyme_unacked

#: Who has not said for so long that it is there is gone, or as good as that.
GONE_AFTER_S = 20

#: KEYS: who shares the queue, by when each was heard of. ARGV: who says so now, and
#: after how long one is gone. What comes back is who is.
TELL = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
"""


class Sharers:
    """Of *queue* at the broker at *url*; *own* is which of them this one is."""

    def __init__(self, url: str, queue: str, own: str) -> None:
        self._url = url
        self._queue = queue
        self._own = own
        self._key = f"cyme.sharers.{queue}"

    def options(self) -> dict[str, Any]:
        """Of a connection that takes."""
        return self._options(self._own)

    def look(self, connection: Connection) -> None:
        """To be called every few seconds: take over what those who are gone have left.

        One of them that only stood still acknowledges later what others were given again.
        """
        if connection.transport.driver_type != "redis":
            return
        with connection.channel() as channel, channel.conn_or_acquire() as client:
            gone = client.execute_command("EVAL", TELL, 1, self._key, self._own, GONE_AFTER_S)
            others = [name for name in gone if name.decode() != self._own]
            for name in others:
                self._take_over(name.decode())
                client.zrem(self._key, name)
        if others:
            # What the server gave to one that was dead already is with none of them.
            taking.put_again(connection, [self._queue])

    def _take_over(self, other: str) -> None:
        connection = connections.connection(
            self._url, transport=taking.TRANSPORT, **self._options(other)
        )
        try:
            bounded.connect(connection)
            cyme_unacked.give_back(connection, {})
        finally:
            bounded.let_go(connection)

    def _options(self, name: str) -> dict[str, Any]:
        return cyme_unacked.options(f"{self._queue}.{name}")
