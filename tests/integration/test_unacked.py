"""What consumers on Redis had taken when they were killed goes back, once and in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import redis
from kombu import Connection, Exchange, Producer, Queue

from cyme_supd.brokers import bounded, connections
from cyme_supd.workers.boot.cyme_unacked import give_back, options


class Owner:
    """A consumer with a hash of its own, that can be killed."""

    def __init__(self, url: str, name: str) -> None:
        self.connection: Connection = connections.connection(url, **options(name))
        self.channel = self.connection.channel()

    def take(self, queue: Queue, count: int) -> list[Any]:
        bound = queue(self.channel)
        bound.declare()
        return [bound.get(accept=["json"]) for _ in range(count)]

    def die(self) -> None:
        """As if killed: what it has taken stays taken, which a farewell would give back."""
        self.channel.do_restore = False
        bounded.let_go(self.connection)


@pytest.fixture
def client(valkey_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(valkey_url) as client:
        client.flushdb()
        yield client


@pytest.fixture
def owner(client: redis.Redis) -> str:
    return f"w-{uuid4().hex[:8]}@b1"


def a_queue(kind: str = "direct", key: str = "key") -> Queue:
    name = f"q{uuid4().hex[:8]}"
    return Queue(name, Exchange(f"x.{name}", kind), key)


def put(url: str, queue: Queue, *bodies: Any, key: str = "key", **more: Any) -> None:
    with Connection(url) as connection:
        producer = Producer(connection.channel())
        for body in bodies:
            producer.publish(
                body, exchange=queue.exchange, routing_key=key, declare=[queue], **more
            )


def back(url: str, owner: str, queue: Queue | None = None) -> int:
    """By a process that knows of nothing but what it is told."""
    exchanges = {queue.exchange.name: queue.exchange.type} if queue else {}
    connection = connections.connection(url, **options(owner))
    try:
        return give_back(connection, exchanges)
    finally:
        bounded.let_go(connection)


def bodies(url: str, queue: Queue) -> list[Any]:
    found = []
    with Connection(url) as connection:
        bound = queue(connection.channel())
        while (message := bound.get(no_ack=True)) is not None:
            found.append(message.payload)
    return found


@pytest.mark.parametrize(("kind", "key"), [("direct", "key"), ("topic", "#")])
def test_what_was_taken_goes_back_in_order(
    kind: str, key: str, valkey_url: str, client: redis.Redis, owner: str
) -> None:
    queue = a_queue(kind, key)
    put(valkey_url, queue, *range(6))
    first = Owner(valkey_url, owner)
    taken = first.take(queue, 4)
    taken[1].ack()
    first.die()
    assert client.hlen(options(owner)["unacked_key"]) == 3
    assert client.llen(queue.name) == 2

    assert back(valkey_url, owner, queue) == 3
    assert back(valkey_url, owner, queue) == 0
    assert bodies(valkey_url, queue) == [0, 2, 3, 4, 5]
    assert [key for key in client.scan_iter() if b"unacked" in key] == []


def test_the_default_exchange_needs_no_word(
    valkey_url: str, client: redis.Redis, owner: str
) -> None:
    name = f"q{uuid4().hex[:8]}"
    queue = Queue(name)
    with Connection(valkey_url) as connection:
        Producer(connection.channel()).publish("a", exchange="", routing_key=name)
    first = Owner(valkey_url, owner)
    first.take(queue, 1)
    first.die()
    assert back(valkey_url, owner) == 1
    assert bodies(valkey_url, queue) == ["a"]


def test_each_queue_gets_its_own(valkey_url: str, client: redis.Redis, owner: str) -> None:
    one, two = a_queue(), a_queue("topic", "a.#")
    put(valkey_url, one, "one")
    put(valkey_url, two, "two", key="a.b")
    first = Owner(valkey_url, owner)
    first.take(one, 1)
    first.take(two, 1)
    first.die()
    exchanges = {each.exchange.name: each.exchange.type for each in (one, two)}
    connection = connections.connection(valkey_url, **options(owner))
    assert give_back(connection, exchanges) == 2
    bounded.let_go(connection)
    assert (bodies(valkey_url, one), bodies(valkey_url, two)) == (["one"], ["two"])


@pytest.mark.parametrize(("kind", "key"), [("direct", "key"), ("topic", "a.#")])
def test_a_queue_that_is_not_its_own_any_more(
    kind: str, key: str, valkey_url: str, client: redis.Redis, owner: str
) -> None:
    queue = a_queue(kind, key)
    put(valkey_url, queue, "a", key=key.replace("#", "b"))
    first = Owner(valkey_url, owner)
    first.take(queue, 1)
    first.die()
    assert back(valkey_url, owner) == 1
    assert bodies(valkey_url, queue) == ["a"]


def test_a_priority_is_kept(valkey_url: str, client: redis.Redis, owner: str) -> None:
    queue = a_queue()
    put(valkey_url, queue, "low", priority=0)
    put(valkey_url, queue, "high", priority=9)
    first = Owner(valkey_url, owner)
    first.take(queue, 2)
    first.die()
    assert list(client.scan_iter(f"{queue.name}*")) == []
    assert back(valkey_url, owner, queue) == 2
    # Redis has a list for each priority.
    lists = [client.llen(key) for key in client.scan_iter(f"{queue.name}*")]
    assert lists == [1, 1]


def test_what_others_have_taken_is_theirs(valkey_url: str, client: redis.Redis, owner: str) -> None:
    queue = a_queue()
    put(valkey_url, queue, "mine", "theirs", "anybody's")
    first, other = Owner(valkey_url, owner), Owner(valkey_url, f"{owner}2")
    first.take(queue, 1)
    (theirs,) = other.take(queue, 1)
    plain = Connection(valkey_url)
    assert queue(plain.channel()).get() is not None
    first.die()
    assert back(valkey_url, owner, queue) == 1
    assert bodies(valkey_url, queue) == ["mine"]
    assert client.hlen("unacked") == 1
    bounded.let_go(plain)
    theirs.ack()
    other.die()
    assert back(valkey_url, f"{owner}2", queue) == 0


def test_one_that_was_acknowledged_after_it_went_back_does_no_harm(
    valkey_url: str, client: redis.Redis, owner: str
) -> None:
    # A worker whose broker was away for a moment: its task still runs.
    queue = a_queue()
    put(valkey_url, queue, "a")
    first = Owner(valkey_url, owner)
    (message,) = first.take(queue, 1)
    assert back(valkey_url, owner, queue) == 1
    message.ack()
    first.die()
    assert bodies(valkey_url, queue) == ["a"]
    assert back(valkey_url, owner, queue) == 0


def test_its_age_gives_nothing_back(valkey_url: str, client: redis.Redis, owner: str) -> None:
    queue = a_queue()
    put(valkey_url, queue, "a")
    first = Owner(valkey_url, owner)
    first.take(queue, 1)
    index = options(owner)["unacked_index_key"]
    (tag,) = client.zrange(index, 0, -1)
    assert isinstance(tag, bytes)
    client.zincrby(index, -86400, str(tag, "ascii"))
    first.channel.qos.restore_visible()
    assert client.llen(queue.name) == 0
    first.die()
    assert back(valkey_url, owner, queue) == 1


def test_many_at_once(valkey_url: str, client: redis.Redis, owner: str) -> None:
    queue = a_queue()
    put(valkey_url, queue, *range(1000))
    first = Owner(valkey_url, owner)
    first.take(queue, 1000)
    first.die()
    assert back(valkey_url, owner, queue) == 1000
    assert bodies(valkey_url, queue) == list(range(1000))


def test_other_brokers_do_it_themselves(rabbitmq_url: str, owner: str) -> None:
    with Connection(rabbitmq_url) as connection:
        assert give_back(connection, {"x": "direct"}) == 0
