"""What of ours is at the broker, and how it goes away again.

On AMQP queues end with their connection, and exchanges with their last queue.
Redis keeps what a killed branch has declared, so there queues have the same
name after every start, and branches clear away after one another.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from kombu import Connection, Exchange, Queue
from kombu.transport import virtual

CREATE = "srs.create.{branch}"
UPDATE = "srs.instance.update"
QUERY = "srs.agent.query-instances"
STATISTICS = "srs.statistics"
REPLY = "reply"

_QUEUE = "srs.queue.{kind}.{branch}"
_UPDATES = _QUEUE.format(kind="update", branch="")
#: Held by every branch that lives, on Redis: it expires by itself.
_LIVES = "srs.lives.{branch}"
LIVES_FOR_S = 60
EXPIRES_S = 60.0


def create_exchange(branch: str) -> Exchange:
    return _exchange(CREATE.format(branch=branch), "fanout")


def open_statistics(conn: Connection) -> Exchange:
    """Where statistics go, there for as long as *conn*, and no longer than its listeners."""
    exchange = _as_it_is(conn, _exchange(STATISTICS, "fanout"))
    if not is_virtual(conn):
        # It goes with its last queue, so it needs one: this one, which keeps nothing.
        with channel_of(conn) as channel:
            Queue(
                f"srs.queue.statistics.{uuid4().hex}",
                exchange=exchange,
                durable=False,
                exclusive=True,
                auto_delete=True,
                queue_arguments={"x-max-length": 0},
            )(channel).declare()
    return exchange


def is_heard(conn: Connection) -> bool:
    """Whether somebody may listen to statistics; AMQP does not tell without an error."""
    if not is_virtual(conn):
        return True
    with channel_of(conn) as channel:
        return bool(channel.get_table(STATISTICS))


def queues(conn: Connection, branch: str) -> list[Queue]:
    """Where messages to *branch* arrive."""
    # On AMQP the connection of before may hold its queues for a while yet.
    own = "" if is_virtual(conn) else f".{uuid4().hex}"
    return [
        Queue(
            _QUEUE.format(kind=kind, branch=branch) + own,
            exchange=_as_it_is(conn, exchange),
            routing_key="#" if exchange.type == "topic" else "",
            durable=False,
            exclusive=True,
            auto_delete=True,
            expires=EXPIRES_S,
        )
        for kind, exchange in (
            ("create", create_exchange(branch)),
            ("update", _exchange(UPDATE, "topic")),
            ("query", _exchange(QUERY, "fanout")),
        )
    ]


def is_virtual(conn: Connection) -> bool:
    """Whether exchanges are kombu's own work, as on Redis."""
    return isinstance(conn.transport, virtual.Transport)


def channel_of(conn: Connection) -> Any:
    """A channel of *conn* as it is: kombu would connect again, and leave our queues behind."""
    if not conn.connected:
        raise ConnectionError("the connection is gone")
    return conn.channel()


def is_there(conn: Connection, exchange: str) -> bool:
    """Whether somebody has declared it, or listens where there is only that to see."""
    channel = channel_of(conn)
    try:
        if is_virtual(conn):
            return bool(channel.get_table(exchange))
        channel.exchange_declare(exchange, "direct", passive=True)
        return True
    except conn.channel_errors:
        return False
    finally:
        channel.close()


def keep(conn: Connection, branch: str) -> None:
    """On Redis: say that this branch lives, and clear away after those that do not.

    Raises ``LookupError`` where our own queue is not known there any more.
    """
    if not is_virtual(conn):
        return
    with channel_of(conn) as channel, channel.conn_or_acquire() as client:
        client.set(_LIVES.format(branch=branch), "", ex=LIVES_FOR_S)
        owners = {
            queue.removeprefix(_UPDATES): (pattern, key, queue)
            for key, pattern, queue in channel.get_table(UPDATE)
            if queue.startswith(_UPDATES)
        }
        if branch not in owners:
            raise LookupError("the broker has forgotten our queue")
        for owner, (pattern, key, queue) in owners.items():
            if not client.exists(_LIVES.format(branch=owner)):
                member = channel.sep.join([key, pattern, queue])
                client.srem(channel.keyprefix_queue % UPDATE, member)
                client.delete(queue)


def clear(conn: Connection, branch: str) -> None:
    """On Redis: take everything of this branch away."""
    with channel_of(conn) as channel, channel.conn_or_acquire() as client:
        for queue in queues(conn, branch):
            # Only who has declared a queue can take its binding away.
            queue(channel).declare()
            queue(channel).delete()
            if not channel.get_table(queue.exchange.name):
                client.zrem(channel.keyprefix_binding_deadlines, queue.exchange.name)
        client.delete(_LIVES.format(branch=branch))


def _exchange(name: str, type: str) -> Exchange:
    return Exchange(name, type, durable=True, auto_delete=True)


def _as_it_is(conn: Connection, exchange: Exchange) -> Exchange:
    """*exchange*; one that somebody has declared otherwise before is good enough."""
    channel = channel_of(conn)
    try:
        exchange(channel).declare()
        return exchange
    except conn.channel_errors:
        return Exchange(exchange.name, exchange.type, passive=True)
    finally:
        channel.close()
