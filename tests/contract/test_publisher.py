"""Queueing URLs: into memory, at RabbitMQ, at Valkey."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import amqp
import pytest
from kombu import Connection
from kombu import Exchange as KombuExchange
from kombu import Queue as KombuQueue

from cyme_supd.brokers import bounded
from cyme_supd.clock import SystemClock
from cyme_supd.domain.broker_ports import Publisher
from cyme_supd.domain.spec import Queue
from cyme_supd.domain.task import UrlRequest, bytes_of
from cyme_supd.errors import Conflict, Unavailable
from cyme_supd.testing.clock import FakeClock
from cyme_supd.testing.publisher import MemoryPublisher
from cyme_supd.workers.publisher import PAUSE_S, UrlPublisher
from tests.integration.test_remote_outages import frozen
from tests.relay import relayed

AT = datetime(2026, 1, 2, tzinfo=UTC)
REPLIES = "cyme.results.b1"
NOWHERE = ("amqp://guest:guest@127.0.0.1:1//", "redis://127.0.0.1:1/0")


def a_queue(**given: Any) -> Queue:
    """Of a name that any queue may have."""
    name = f"a b/{uuid4().hex}.\u00e9"
    usual = {"exchange": name, "exchange_type": "direct", "routing_key": name, "options": {}}
    if "exchange" in given:
        given["exchange"] = given["exchange"].format(uuid4().hex)
    return Queue(app="foo", name=name, created_at=AT, **{**usual, **given})


def some(count: int, **given: Any) -> list[tuple[str, UrlRequest]]:
    usual = {"method": "GET", "headers": (("A", "\u00e9"),), "body": b"\xff\0"}
    return [
        (str(uuid4()), UrlRequest(**{**usual, "url": f"http://h/{n}?a=%2F#\u20ac", **given}))
        for n in range(count)
    ]


@dataclass
class At:
    """One of the ports, a broker for it, and what is in a queue there."""

    port: Publisher
    broker: str
    taken: Callable[[Queue], list[tuple[str, UrlRequest]]]
    used: list[Queue] = field(default_factory=list)

    def publish(self, queue: Queue, requests: list[tuple[str, UrlRequest]]) -> None:
        self.used.append(queue)
        self.port.publish(self.broker, queue, requests, REPLIES)


@pytest.fixture(params=["memory", "rabbitmq", "valkey"])
def at(request: pytest.FixtureRequest) -> Iterator[At]:
    if request.param == "memory":
        memory = MemoryPublisher()
        yield At(
            memory, "redis://h", lambda queue: memory.queued.pop(("redis://h", queue.name), [])
        )
        return
    url: str = request.getfixturevalue(f"{request.param}_url")
    publisher = UrlPublisher(SystemClock(), "b1")
    at = At(publisher, url, lambda queue: [request_of(each) for each in drained(url, queue.name)])
    yield at
    publisher.close()
    clean(url, at.used)


def clean(url: str, queues: list[Queue]) -> None:
    with Connection(url) as connection:
        for queue in queues:
            connection.default_channel.queue_delete(queue.name)
            if not url.startswith("redis"):
                connection.default_channel.exchange_delete(queue.exchange)


def drained(url: str, name: str) -> list[Any]:
    found = []
    with Connection(url) as connection:
        queue = KombuQueue(name, no_declare=True)(connection.default_channel)
        while (message := queue.get(no_ack=True)) is not None:
            found.append(message)
    return found


def request_of(message: Any) -> tuple[str, UrlRequest]:
    """As the bundled task reads it."""
    args, kwargs, _ = message.decode()
    assert args == []
    body = bytes_of(kwargs.get("body", ""), kwargs.get("encoding", "utf-8"))
    headers = tuple((name, value) for name, value in kwargs.get("headers", ()))
    return message.headers["id"], UrlRequest(kwargs["method"], kwargs["url"], headers, body)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"exchange": "x-{}", "routing_key": "key"},
        {"exchange": "x-{}", "exchange_type": "topic", "routing_key": "a.#"},
        {"options": {"max_priority": 5}},
        {"options": {"durable": False, "auto_delete": False}},
        {"options": {"message_ttl": 60, "max_length": 100_000}},
    ],
    ids=str,
)
def test_requests_are_there_in_order_when_it_returns(given: dict[str, Any], at: At) -> None:
    queue, one, many = a_queue(**given), some(1), some(50)
    at.publish(queue, one)
    assert at.taken(queue) == one
    at.publish(queue, many)
    at.publish(queue, one)
    assert at.taken(queue) == [*many, *one]


def test_queues_of_one_exchange_get_each_their_own(at: At) -> None:
    shared = f"x{uuid4().hex}"
    topic = {"exchange": shared, "exchange_type": "topic", "routing_key": "#"}
    first, second = a_queue(**topic), a_queue(**topic)
    one, two = some(3), some(3)
    at.publish(first, one)
    at.publish(second, two)
    assert (at.taken(first), at.taken(second)) == (one, two)


def test_whatever_is_in_a_request_comes_through(at: At) -> None:
    queue = a_queue()
    requests = [
        *some(1, headers=(), body=b""),
        *some(1, method="CONNECT", body="\u20ac\0".encode()),
        *some(1, body=bytes(range(256)) * 4096),
        *some(1, body=b"x" * 16 * 2**20),
    ]
    for each in requests:
        at.publish(queue, [each])
    assert at.taken(queue) == requests


def test_many_threads_at_once(at: At) -> None:
    queues = [a_queue() for _ in range(4)]
    wanted = [some(8) for _ in range(16)]

    def put(number: int) -> None:
        for each in wanted[number]:
            at.publish(queues[number % 4], [each])
        at.publish(queues[number % 4], wanted[number][:2])

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(put, range(16)))
    for index, queue in enumerate(queues):
        got = at.taken(queue)
        for number in range(index, 16, 4):
            mine = [each for each in got if each in wanted[number]]
            assert mine == [*wanted[number], *wanted[number][:2]]
        assert len(got) == 4 * 10


@pytest.mark.parametrize("broker", NOWHERE)
def test_a_broker_that_is_not_there(broker: str, at: At) -> None:
    if isinstance(at.port, MemoryPublisher):
        at.port.is_down = True
    for count in (1, 2):
        with pytest.raises(Unavailable):
            at.port.publish(broker, a_queue(), some(count), REPLIES)


# What only real brokers do


@pytest.fixture(params=["rabbitmq", "valkey"])
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
def publisher() -> Iterator[UrlPublisher]:
    publisher = UrlPublisher(SystemClock(), "b1")
    yield publisher
    publisher.close()


def test_the_message_is_one_that_celery_takes(url: str, publisher: UrlPublisher) -> None:
    queue, ((id, request),) = a_queue(), some(1, url="http://u:hunter2@h:81/x?token=hunter2")
    publisher.publish(url, queue, [(id, request)], REPLIES)
    (message,) = drained(url, queue.name)
    clean(url, [queue])
    assert (message.headers["task"], message.headers["id"]) == ("cyme.request", id)
    assert message.headers["cyme_app"] == "foo"
    assert "hunter2" not in json.dumps(message.headers)
    assert message.properties["reply_to"] == REPLIES
    assert message.properties["correlation_id"] == id
    assert int(message.properties["delivery_mode"]) == 2
    assert (message.content_type, message.content_encoding) == ("application/json", "utf-8")


def test_a_queue_is_declared_as_it_is_stored(rabbitmq_url: str, publisher: UrlPublisher) -> None:
    options = {"max_priority": 5, "queue_arguments": {"x-max-length": 7}}
    queue = a_queue(
        exchange=f"x{uuid4().hex}", exchange_type="topic", routing_key="a.#", options=options
    )
    publisher.publish(rabbitmq_url, queue, some(1), REPLIES)
    with Connection(rabbitmq_url) as connection:
        exchange = KombuExchange(queue.exchange, "topic")
        arguments = {"x-max-length": 7, "x-max-priority": 5}
        # Neither refuses: they are there like that.
        KombuQueue(queue.name, exchange, "a.#", queue_arguments=arguments)(connection).declare()
        connection.Producer().publish("{}", exchange=queue.exchange, routing_key="a.b.c")
    assert len(drained(rabbitmq_url, queue.name)) == 2
    clean(rabbitmq_url, [queue])


def test_a_queue_that_is_there_otherwise_is_used_as_it_is(
    rabbitmq_url: str, publisher: UrlPublisher
) -> None:
    queue = a_queue(options={"max_priority": 5})
    with Connection(rabbitmq_url) as connection:
        KombuQueue(queue.name, KombuExchange("other"), "k")(connection.default_channel).declare()
    publisher.publish(rabbitmq_url, queue, some(1), REPLIES)
    assert len(drained(rabbitmq_url, queue.name)) == 1
    clean(rabbitmq_url, [queue])


@pytest.mark.parametrize("count", [1, 3])
def test_a_declaration_that_is_refused(
    count: int, rabbitmq_url: str, publisher: UrlPublisher
) -> None:
    queue = a_queue(exchange=f"x{uuid4().hex}", exchange_type="topic")
    with Connection(rabbitmq_url) as connection:
        KombuExchange(queue.exchange, "direct")(connection.default_channel).declare()
    for _ in range(2):
        with pytest.raises(Conflict, match="PRECONDITION_FAILED"):
            publisher.publish(rabbitmq_url, queue, some(count), REPLIES)
    # One that is refused is in nobody's way.
    other = a_queue()
    publisher.publish(rabbitmq_url, other, some(1), REPLIES)
    clean(rabbitmq_url, [queue, other])


def test_redis_keeps_nothing_of_a_fanout(valkey_url: str, publisher: UrlPublisher) -> None:
    with pytest.raises(Conflict, match="fanout"):
        publisher.publish(valkey_url, a_queue(exchange_type="fanout"), some(1), REPLIES)


@pytest.mark.parametrize("count", [1, 3])
def test_a_queue_that_vanished_meanwhile_is_declared_again(
    count: int, rabbitmq_url: str, publisher: UrlPublisher
) -> None:
    queue = a_queue()
    publisher.publish(rabbitmq_url, queue, some(count), REPLIES)
    clean(rabbitmq_url, [queue])
    again = some(count)
    publisher.publish(rabbitmq_url, queue, again, REPLIES)
    assert [request_of(each) for each in drained(rabbitmq_url, queue.name)] == again
    clean(rabbitmq_url, [queue])


@pytest.mark.parametrize("count", [1, 3])
def test_a_connection_that_broke_meanwhile_is_made_again(
    count: int, url: str, publisher: UrlPublisher
) -> None:
    queue, wanted = a_queue(), some(4 * count)
    with relayed(url) as (relay, near), ThreadPoolExecutor(4) as pool:
        together = threading.Barrier(4)

        def put(number: int) -> None:
            together.wait(10)
            publisher.publish(near, queue, wanted[number * count : (number + 1) * count], REPLIES)

        list(pool.map(put, range(4)))
        assert len(drained(url, queue.name)) == 4 * count
        relay.cut()
        relay.mend()
        list(pool.map(put, range(4)))
    got = [request_of(each) for each in drained(url, queue.name)]
    assert sorted(got) == sorted(wanted)
    clean(url, [queue])


def test_one_who_found_it_gone_spares_the_others_the_wait(url: str) -> None:
    clock, queue = FakeClock(), a_queue()
    publisher = UrlPublisher(clock, "b1")
    with relayed(url) as (relay, near):
        publisher.publish(near, queue, some(1), REPLIES)
        relay.cut()
        with pytest.raises(Unavailable):
            publisher.publish(near, queue, some(1), REPLIES)
        relay.mend()
        with pytest.raises(Unavailable, match="a moment ago"):
            publisher.publish(near, queue, some(1), REPLIES)
        # It is not that of another broker.
        publisher.publish(url, queue, some(1), REPLIES)
        clock.advance(PAUSE_S)
        publisher.publish(near, queue, some(1), REPLIES)
    publisher.close()
    assert len(drained(url, queue.name)) == 3
    clean(url, [queue])


def test_one_that_goes_while_a_queue_is_declared(
    rabbitmq_url: str, publisher: UrlPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = amqp.Channel.queue_declare
    queue = a_queue()
    with relayed(rabbitmq_url) as (relay, near):

        def declare(self: amqp.Channel, *args: Any, **kwargs: Any) -> Any:
            relay.cut()
            return real(self, *args, **kwargs)

        monkeypatch.setattr(amqp.Channel, "queue_declare", declare)
        with pytest.raises(Unavailable):
            publisher.publish(near, queue, some(1), REPLIES)


def test_one_that_hangs(valkey_url: str, publisher: UrlPublisher) -> None:
    queue = a_queue()
    publisher.publish(valkey_url, queue, some(1), REPLIES)
    real, connected = bounded.connect, []

    def connect(conn: Connection, within_s: float) -> None:
        connected.append(conn)
        real(conn, within_s)

    with frozen(valkey_url), pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounded, "connect", connect)
        with pytest.raises(Unavailable, match="does not take it"):
            publisher.publish(valkey_url, queue, some(1), REPLIES)
        with pytest.raises(Unavailable, match="a moment ago"):
            publisher.publish(valkey_url, queue, some(1), REPLIES)
    # Who has waited for it once does not wait for it again elsewhere.
    assert connected == []
    clean(valkey_url, [queue])


def test_all_of_a_list_or_none(rabbitmq_url: str, publisher: UrlPublisher) -> None:
    queue = a_queue()
    publisher.publish(rabbitmq_url, queue, some(1), REPLIES)
    with relayed(rabbitmq_url) as (relay, near):
        publisher.publish(near, queue, some(2), REPLIES)
        seen = drained(rabbitmq_url, queue.name)
        assert len(seen) == 3
        # The last one cannot be written, after all the others have been.
        broken = [*some(50), ("x", UrlRequest("GET", "http://h/\ud800"))]
        with pytest.raises(UnicodeEncodeError):
            publisher.publish(near, queue, broken, REPLIES)
        real = amqp.Channel.tx_commit

        def commit(self: amqp.Channel) -> Any:
            relay.cut()
            return real(self)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(amqp.Channel, "tx_commit", commit)
            with pytest.raises(Unavailable):
                publisher.publish(near, queue, some(50), REPLIES)
    assert drained(rabbitmq_url, queue.name) == []
    clean(rabbitmq_url, [queue])
