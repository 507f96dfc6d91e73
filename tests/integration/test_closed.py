"""A message whose connection is closed: to acknowledge it is an error of the connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from kombu import Connection, Queue
from kombu.transport.redis import Channel

from cyme_supd.workers.boot import cyme_closed


@pytest.fixture
def message(valkey_url: str) -> Iterator[Any]:
    """Taken, and its connection closed, as a worker does that has lost its broker."""
    with Connection(valkey_url) as line:
        queue = Queue(f"q{uuid4().hex[:8]}")(line.channel())
        queue.declare()
        with line.Producer() as producer:
            producer.publish(1, routing_key=queue.name)
        message = queue.get()
        message.channel.do_restore = False
        line.collect()
        yield message


def test_as_kombu_has_it(message: Any) -> None:
    with pytest.raises(AttributeError):
        message.ack()


def test_as_it_is_in_a_worker(message: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Channel, "_create_client", Channel._create_client)
    cyme_closed.say_so(Channel)
    cyme_closed.say_so(Channel)
    with pytest.raises(ConnectionError, match="closed"):
        message.ack()
