"""What a consumer on Redis had taken and not acknowledged when it was killed.

AMQP brokers give such messages to the next consumer by themselves. On Redis
kombu keeps them in a hash that all consumers share, and gives them back when
they are so old that nobody can still be working on them: an hour. Here every
consumer has a hash of its own; as there are never two of one name, what lies
in it when one starts was left by its predecessor, and goes back at once.

Self-contained: workers import it in their own virtual environments.
"""

from __future__ import annotations

import json
from typing import Any

from kombu import Connection, Exchange

#: Nothing is given back for its age, so that no long task runs twice.
VISIBILITY_TIMEOUT_S = 30 * 86400


def options(owner: str) -> dict[str, Any]:
    """Transport options by which *owner* has a hash of its own."""
    return {
        "unacked_key": f"cyme.unacked.{owner}",
        "unacked_index_key": f"cyme.unacked-index.{owner}",
        "unacked_mutex_key": f"cyme.unacked-mutex.{owner}",
        "visibility_timeout": VISIBILITY_TIMEOUT_S,
    }


def give_back(connection: Connection, exchanges: dict[str, str]) -> int:
    """Put what *connection*'s owner has left into its queues again; how many messages.

    Only while the owner takes nothing. *exchanges* are those it gets messages
    through, with their types: what Redis does not keep, and the way back
    depends on. Of others, whose queues it had until now, only the bindings
    tell. Nothing to do where the broker is not Redis.
    """
    if connection.transport.driver_type != "redis":
        return 0
    with connection.channel() as channel:
        for name, kind in exchanges.items():
            Exchange(name, type=kind)(channel).declare()
        with channel.conn_or_acquire() as client:
            for name in _ways(channel, client) - exchanges.keys():
                # Only a topic's bindings have patterns; by a direct one's rule
                # its messages would find no queue, and be lost.
                if any(pattern for _, pattern, _ in channel.get_table(name)):
                    Exchange(name, type="topic")(channel).declare()
            # The newest first: the oldest is then the next to be taken.
            tags = client.zrange(channel.unacked_index_key, 0, -1, desc=True)
            for tag in tags:
                name = tag.decode() if isinstance(tag, bytes) else tag
                channel.qos.restore_by_tag(name, client)
        return len(tags)


def _ways(channel: Any, client: Any) -> set[str]:
    """The exchanges through which came what is left."""
    return {json.loads(left)[1] for left in client.hvals(channel.unacked_key)} - {""}
