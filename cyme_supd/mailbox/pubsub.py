"""Redis as a place where nothing of the mailbox is ever stored.

All of it goes by publish and subscribe. kombu writes a binding down for each
queue nevertheless, which nobody reads for a fanout exchange, and which whoever
is killed leaves behind; here a queue is bound by listening.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import redis as kombu_redis


class Channel(kombu_redis.Channel):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # kombu's is the class': it would grow with every connection made.
        self._fanout_queues: dict[str, tuple[str, str]] = {}
        super().__init__(*args, **kwargs)

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        self._fanout_queues[queue] = (exchange, routing_key or "")


class Transport(kombu_redis.Transport):  # type: ignore[misc]
    Channel = Channel


TRANSPORT = f"{__name__}:{Transport.__name__}"
