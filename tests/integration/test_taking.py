"""On Redis no message is ever in no place at all, whoever dies when."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from kombu import Connection, Consumer, Queue
from redis import Redis

from cyme_supd.workers import taking
from cyme_supd.workers.boot import cyme_unacked
from cyme_supd.workers.depths import BrokerQueues
from cyme_supd.workers.outgoing import Message, Outgoing
from tests.acceptance.harness import unique
from tests.support import eventually


@pytest.fixture
def queue(valkey_url: str) -> Iterator[str]:
    name = unique("taking")
    yield name
    with Redis.from_url(valkey_url) as client:
        left = client.keys(f"*{name}*")
        client.delete(name, *left)
        client.srem(taking.QUEUES, name)


@pytest.fixture
def server(valkey_url: str) -> Iterator[Any]:
    with Redis.from_url(valkey_url, decode_responses=True) as client:
        yield client


def put(url: str, queue: str, *ids: str) -> None:
    outgoing = Outgoing(url, 5.0, is_whole=len(ids) > 1)
    outgoing.put(queue, [Message(id, json.dumps(id).encode()) for id in ids])
    outgoing.close()


class Taker:
    """A consumer that acknowledges nothing by itself."""

    def __init__(self, url: str, queue: str) -> None:
        self.got: list[Any] = []
        self.connection = Connection(
            url, transport=taking.TRANSPORT, transport_options=cyme_unacked.options(queue)
        )
        channel = self.connection.channel()
        self.consumer = Consumer(channel, [Queue(queue)], on_message=self.got.append)
        self.consumer.qos(prefetch_count=2)
        self.consumer.consume()

    def look(self) -> list[str]:
        """What it has got once it has waited a moment for more."""
        with contextlib.suppress(TimeoutError):
            self.connection.drain_events(timeout=0.2)
        return [json.loads(message.body) for message in self.got]


def test_what_is_taken_is_written_down_at_once(valkey_url: str, queue: str, server: Any) -> None:
    put(valkey_url, queue, "a")
    assert list(server.hgetall(taking.copies_of(queue))) == ["a"]
    taker = Taker(valkey_url, queue)
    eventually(lambda: taker.look() == ["a"])
    # Not given back at its end: it is gone like a process that was killed.
    assert server.hlen(f"cyme.unacked.{queue}") == 1
    assert server.exists(queue, taking.copies_of(queue)) == 0
    taker.got[0].ack()
    assert server.hlen(f"cyme.unacked.{queue}") == 0
    taker.connection.release()


def test_a_message_that_finds_its_consumer_waiting(
    valkey_url: str, queue: str, server: Any
) -> None:
    taker = Taker(valkey_url, queue)
    assert taker.look() == []
    put(valkey_url, queue, "a")
    eventually(lambda: taker.look() == ["a"])
    assert server.hlen(taking.copies_of(queue)) == 0
    taker.got[0].ack()
    taker.connection.release()


def test_a_message_that_was_given_to_the_dead_comes_again(
    valkey_url: str, queue: str, server: Any
) -> None:
    # What a killed worker's connection is until the kernel has closed it: it
    # waits for a message, and nobody will read the answer.
    dying = Redis.from_url(valkey_url).connection_pool.get_connection()
    dying.send_command("BRPOP", queue, 5)
    eventually(lambda: any(each["cmd"] == "brpop" for each in server.client_list()))
    put(valkey_url, queue, "a")
    assert server.llen(queue) == 0
    dying.disconnect()

    with Connection(valkey_url, transport=taking.TRANSPORT) as connection:
        eventually(lambda: taking.put_again(connection, [queue]) == 1)
    taker = Taker(valkey_url, queue)
    eventually(lambda: taker.look() == ["a"])
    taker.got[0].ack()
    taker.connection.release()
    assert server.exists(taking.copies_of(queue)) == 0


def test_what_waits_is_not_put_twice(valkey_url: str, queue: str, server: Any) -> None:
    put(valkey_url, queue, "a", "b")
    with Connection(valkey_url, transport=taking.TRANSPORT) as connection:
        server.hset(taking.copies_of(queue), "a", "1.5 {}")
        assert taking.put_again(connection, [queue]) == 0
    assert server.llen(queue) == 2


def test_what_somebody_emptied_stays_empty(valkey_url: str, queue: str, server: Any) -> None:
    put(valkey_url, queue, "a", "b")
    assert BrokerQueues().purge(valkey_url, queue) == 2
    with Connection(valkey_url, transport=taking.TRANSPORT) as connection:
        assert taking.put_again(connection, [queue]) == 0
        # Emptied by somebody who knows of no copies, a while ago.
        put(valkey_url, queue, "c")
        server.delete(queue)
        server.hset(taking.copies_of(queue), "c", "1.5 {}")
        assert taking.put_again(connection, [queue]) == 0
        put(valkey_url, queue, "d")
        server.delete(queue)
        server.hset(taking.copies_of(queue), "d", "1.5 {}")
        taking.forget_copies(connection)
        taking.forget_copies(connection)
    assert server.exists(taking.copies_of(queue)) == 0
    assert not server.sismember(taking.QUEUES, queue)


def test_a_list_is_there_whole_or_not_at_all(valkey_url: str, queue: str, server: Any) -> None:
    put(valkey_url, queue, *[str(n) for n in range(3000)])
    assert (server.llen(queue), server.hlen(taking.copies_of(queue))) == (3000, 3000)
