"""All workers of a branch, asked at once, in their own words."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from kombu import Connection, Consumer, Producer
from kombu.pidbox import Mailbox

COMMANDS = ("stats", "active_queues")


@dataclass
class Said:
    """What came back from one node; more than one pid are two workers."""

    pids: set[int] = field(default_factory=set)
    autoscale: tuple[int, int] | None = None
    prefetch: int | None = None
    queues: set[str] | None = None

    @property
    def is_whole(self) -> bool:
        return bool(self.pids) and self.queues is not None


def ask(broker: str, nodes: set[str], within_s: float = 1.0) -> dict[str, Said]:
    """What the *nodes* say of themselves; who is silent is not in it.

    Whatever the broker does meanwhile, it is no answer.
    """
    said: dict[str, Said] = {}
    line = Connection(broker, connect_timeout=2, transport_options=_impatient(broker))
    with suppress(OSError, *line.connection_errors), line:
        _converse(line, nodes, said, within_s)
    return {node: answer for node, answer in said.items() if answer.is_whole}


def _impatient(broker: str) -> dict[str, Any]:
    if not broker.startswith("redis"):
        return {}
    return {"socket_timeout": 3, "socket_connect_timeout": 2}


def _converse(line: Connection, nodes: set[str], said: dict[str, Said], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    with _replies(line, said) as address:
        producer = Producer(line.channel())
        exchange = Mailbox("celery", type="fanout").exchange
        for command in COMMANDS:
            body = {
                "method": command,
                "arguments": {},
                "ticket": uuid4().hex,
                "reply_to": {"exchange": "reply.celery.pidbox", "routing_key": address},
            }
            producer.publish(body, exchange=exchange, declare=[exchange], serializer="json")
        while not all(node in said and said[node].is_whole for node in nodes):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return
            with suppress(TimeoutError, socket.timeout):
                line.drain_events(timeout=min(left_s, 0.2))


@contextmanager
def _replies(line: Connection, said: dict[str, Said]) -> Iterator[str]:
    """The address of a queue that is gone again at the end."""
    address = uuid4().hex
    queue = Mailbox("celery", type="fanout")(line).get_reply_queue()
    queue.name = queue.routing_key = address
    consumer = Consumer(line.channel(), [queue], no_ack=True, accept=["application/json"])
    consumer.register_callback(lambda body, _message: _take(body, said))
    consumer.consume()
    try:
        yield address
    finally:
        consumer.cancel()
        queue(line.channel()).delete()


def _take(body: dict[str, Any], said: dict[str, Said]) -> None:
    for node, answer in body.items():
        entry = said.setdefault(node, Said())
        if isinstance(answer, list):
            entry.queues = {queue["name"] for queue in answer}
        elif "pid" in answer:
            entry.pids.add(int(answer["pid"]))
            entry.prefetch = answer.get("prefetch_count")
            scaler = answer.get("autoscaler")
            entry.autoscale = (scaler["max"], scaler["min"]) if scaler else None
