"""Celery's remote control on the wire, without waiting for anyone.

:meth:`celery.app.control.Control.broadcast` declares a reply queue for every
question and waits for the answers. Here there is one standing reply queue,
and a question is one message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from kombu import Exchange, Producer, Queue
from kombu.pidbox import Mailbox

#: The control exchange of Celery; workers of ours all use this one.
NAMESPACE = "celery"
#: Marks the message by which a worker says that it is ready.
READY = "cyme.ready"
#: The command that every worker of ours knows: pid, limits, queues.
LOOK = "cyme_look"
#: Those that change which queues it consumes from.
CONSUME, CANCEL = "cyme_consume", "cyme_cancel"
#: How long a question is worth an answer.
QUESTION_EXPIRES_S = 30.0
REPLY_QUEUE_EXPIRES_S = 60.0

_mailbox = Mailbox(NAMESPACE, type="fanout")
CONTROL_EXCHANGE: Exchange = _mailbox.exchange
REPLY_EXCHANGE: Exchange = _mailbox.reply_exchange


def reply_address(branch: str) -> str:
    """The routing key of a branch's standing reply queue.

    The same after every start, so that a branch that was killed leaves no
    queue behind that nobody will ever read.
    """
    return f"cyme-{hashlib.sha256(branch.encode()).hexdigest()[:16]}"


def mailbox(node: str) -> Queue:
    """Where questions to *node* arrive."""
    return Queue(
        f"{node}.{CONTROL_EXCHANGE.name}",
        exchange=CONTROL_EXCHANGE,
        durable=False,
        auto_delete=True,
    )


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


def bind_reply_queue(channel: Any, address: str) -> None:
    """Have answers find their way again on a Redis that somebody has emptied.

    There the binding is a key. kombu writes it once, and knows from then on
    that it has.
    """
    REPLY_EXCHANGE(channel).declare()
    channel._queue_bind(REPLY_EXCHANGE.name, address, "", reply_queue(address).name)


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
