"""Celery's remote control on the wire, without waiting for anyone.

:meth:`celery.app.control.Control.broadcast` declares a reply queue for every
question and waits for the answers. Here there is one standing reply queue,
and a question is one message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

from kombu import Connection, Consumer, Exchange, Producer, Queue
from kombu.exceptions import KombuError
from kombu.pidbox import Mailbox

from cyme_supd.clock import Clock
from cyme_supd.domain.spec import Worker
from cyme_supd.errors import Unavailable
from cyme_supd.workers import bounded

#: The control exchange of Celery; workers of ours all use this one.
NAMESPACE = "celery"
#: Marks the message by which a worker says that it is ready.
READY = "cyme.ready"
#: The command that every worker of ours knows: pid, limits, queues.
LOOK = "cyme_look"
#: Those that change which queues it consumes from.
CONSUME, CANCEL = "cyme_consume", "cyme_cancel"
CONNECT_TIMEOUT_S = 3.0
IO_TIMEOUT_S = 5.0
#: How long a question is worth an answer.
QUESTION_EXPIRES_S = 30.0
REPLY_QUEUE_EXPIRES_S = 60.0

_mailbox = Mailbox(NAMESPACE, type="fanout")
CONTROL_EXCHANGE: Exchange = _mailbox.exchange
REPLY_EXCHANGE: Exchange = _mailbox.reply_exchange

Errors = tuple[type[BaseException], ...]


def connection(
    broker: str,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    io_timeout_s: float = IO_TIMEOUT_S,
    transport: str | None = None,
    **more: Any,
) -> Connection:
    """A connection that gives up on a broker that does not answer.

    kombu's own default is to wait for ever on a socket that is open. *more*
    are options of the broker's transport.
    """
    if broker.startswith("redis"):
        options = {"socket_timeout": io_timeout_s, "socket_connect_timeout": connect_timeout_s}
    else:
        options = {"read_timeout": io_timeout_s, "write_timeout": io_timeout_s}
    return Connection(
        broker,
        transport=transport,
        connect_timeout=connect_timeout_s,
        transport_options={**options, **more},
        heartbeat=0,
    )


def broken(conn: Connection) -> Errors:
    """What *conn* raises when the broker is not to be had."""
    return (*conn.connection_errors, *conn.channel_errors, KombuError, OSError)


def reply_address(branch: str) -> str:
    """The routing key of a branch's standing reply queue.

    The same after every start, so that a branch that was killed leaves no
    queue behind that nobody will ever read.
    """
    return f"cyme-{hashlib.sha256(branch.encode()).hexdigest()[:16]}"


def reply_queue(address: str) -> Queue:
    """Where answers to *address* wait."""
    return Queue(
        f"{address}.{REPLY_EXCHANGE.name}",
        exchange=REPLY_EXCHANGE,
        routing_key=address,
        durable=False,
        auto_delete=True,
        expires=REPLY_QUEUE_EXPIRES_S,
    )


def ask(
    producer: Producer,
    command: str,
    arguments: dict[str, Any],
    destination: Sequence[str] | str,
    address: str,
    expires_at: float,
    exchange: str = REPLY_EXCHANGE.name,
) -> None:
    """Put *command* to the workers named, or to those that match a pattern.

    Answers go to *address* at *exchange*, with the command's name as their
    ticket. *expires_at* is epoch seconds.
    """
    pattern = destination if isinstance(destination, str) else None
    producer.publish(
        {
            "method": command,
            "arguments": arguments,
            "destination": list(destination) if pattern is None else None,
            "pattern": pattern,
            "matcher": None if pattern is None else "glob",
            "ticket": command,
            "reply_to": {"exchange": exchange, "routing_key": address},
        },
        exchange=CONTROL_EXCHANGE,
        declare=[CONTROL_EXCHANGE],
        headers={"clock": 0, "expires": expires_at},
        serializer="json",
        retry=False,
    )


class WorkerQuestions:
    """Asks one worker and waits, on a connection of its own for each question."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def stats(self, worker: Worker, timeout_s: float) -> dict[str, object]:
        """Celery's stats of the worker; ``Unavailable`` when it does not say."""
        conn = connection(worker.broker)
        try:
            bounded.connect(conn)
            stats = self._stats(conn, worker.nodename, timeout_s)
        except broken(conn) as exc:
            bounded.let_go(conn)
            raise Unavailable(f"{worker.nodename} did not answer: {exc}") from exc
        bounded.let_go(conn)
        if stats is None:
            raise Unavailable(f"{worker.nodename} did not answer within {timeout_s:g} s")
        return stats

    def _stats(self, conn: Connection, nodename: str, timeout_s: float) -> dict[str, object] | None:
        deadline = self._clock.monotonic() + timeout_s
        address = f"cyme-ask-{uuid4().hex}"
        answers: list[dict[str, object]] = []

        def receive(body: Any, _message: Any) -> None:
            if isinstance(body, dict) and isinstance(body.get(nodename), dict):
                answers.append(body[nodename])

        channel = conn.channel()
        _answers_at(address, channel, receive).consume()
        expires_at = self._clock.now().timestamp() + timeout_s
        # By the queue's name alone: on Redis a binding would outlive whoever
        # is killed, or loses the broker, before it can take it away.
        ask(Producer(channel), "stats", {}, [nodename], address, expires_at, exchange="")
        while not answers:
            left = deadline - self._clock.monotonic()
            if left <= 0:
                return None
            with suppress(TimeoutError):
                conn.drain_events(timeout=left)
        return answers[0]


def _answers_at(address: str, channel: Any, receive: Callable[[Any, Any], None]) -> Consumer:
    queue = Queue(address, durable=False, auto_delete=True, expires=REPLY_QUEUE_EXPIRES_S)
    return Consumer(channel, [queue], callbacks=[receive], no_ack=True, accept=["json"])
