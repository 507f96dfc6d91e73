"""Queues at a broker: in memory, on RabbitMQ, on Valkey."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import uuid4

import psutil
import pytest
from celery import Celery
from kombu import Connection, Exchange, Producer, Queue

from cyme_supd.domain.age import ALONE, Look
from cyme_supd.domain.broker_ports import BrokerQueues as Port
from cyme_supd.domain.orphans import Waiting
from cyme_supd.domain.status import Depth
from cyme_supd.errors import Conflict, Unavailable
from cyme_supd.testing.brokers import MemoryBrokerQueues
from cyme_supd.workers import depths
from cyme_supd.workers.depths import BrokerQueues

AT_ONCE_S = 1.0
NOWHERE = ("amqp://guest:guest@127.0.0.1:1//", "redis://127.0.0.1:1/0")


@dataclass(frozen=True)
class At:
    """One of the ports, and a broker for it to look at."""

    port: Port
    broker: str
    fill: Callable[[str, int], None]

    @property
    def tells_consumers(self) -> bool:
        return not self.broker.startswith("redis")


@pytest.fixture(params=["memory", "rabbitmq", "valkey"])
def at(request: pytest.FixtureRequest) -> At:
    if request.param == "memory":
        memory = MemoryBrokerQueues()
        return At(memory, "amqp://h//", lambda queue, n: memory.holds("amqp://h//", queue, n))
    url: str = request.getfixturevalue(f"{request.param}_url")
    return At(BrokerQueues(), url, lambda queue, n: publish(url, queue, n))


@pytest.fixture
def queue() -> str:
    """Of a name that any queue may have."""
    return f"a b/{uuid4().hex}.é"


@pytest.fixture(autouse=True)
def emptied(request: pytest.FixtureRequest, queue: str) -> Iterator[None]:
    yield
    if "rabbitmq_url" in request.fixturenames:
        with Connection(request.getfixturevalue("rabbitmq_url")) as connection:
            channel = connection.channel()
            channel.queue_delete(queue)
            channel.exchange_delete(queue)


def publish(url: str, queue: str, n: int, **more: int) -> None:
    declared = Queue(queue, Exchange(queue), queue)
    with Connection(url) as connection:
        producer = Producer(connection.channel())
        for _ in range(n):
            producer.publish({}, declare=[declared], exchange=queue, routing_key=queue, **more)


def send(url: str, queue: str, task: str, priority: int = 0, protocol: int = 2) -> None:
    """A task, as Celery sends it."""
    with Celery("sender", broker=url, set_as_current=False) as app:
        app.conf.update(task_protocol=protocol, task_create_missing_queues=True)
        declared = Queue(queue, Exchange(queue), queue)
        app.send_task(task, queue=declared, priority=priority)


def test_messages_that_wait_are_counted_and_dropped(at: At, queue: str) -> None:
    at.fill(queue, 3)
    consumers = 0 if at.tells_consumers else None
    assert at.port.depth(at.broker, queue) == Depth(3, consumers)
    assert at.port.purge(at.broker, queue) == 3
    assert at.port.depth(at.broker, queue) == Depth(0, consumers)


def test_what_is_not_there_is_empty(at: At, queue: str) -> None:
    assert at.port.depth(at.broker, queue) == Depth(0, 0 if at.tells_consumers else None)
    assert at.port.purge(at.broker, queue) == 0


def test_what_waits_stays_as_it_is(at: At, queue: str) -> None:
    at.fill(queue, 3)
    missing = f"no-{queue}"
    for _ in range(2):
        found = at.port.waiting(at.broker, [missing, queue])
        assert {name: each.depth.messages for name, each in found.items()} == {missing: 0, queue: 3}


def test_a_broker_that_is_down_shows_nothing(at: At, queue: str) -> None:
    for broker in NOWHERE:
        if isinstance(at.port, MemoryBrokerQueues):
            at.port.breaks(broker)
        assert at.port.depths(broker, [queue]) == {}
        with pytest.raises(Unavailable):
            at.port.waiting(broker, [queue])


@pytest.mark.parametrize("server", ["rabbitmq", "valkey"])
def test_many_at_once(server: str, queue: str, request: pytest.FixtureRequest) -> None:
    url: str = request.getfixturevalue(f"{server}_url")
    publish(url, queue, 2)
    missing = f"no-{queue}"

    found = BrokerQueues().looks(url, [missing, queue, missing, queue])

    assert {name: look.messages for name, look in found.items()} == {missing: 0, queue: 2}


@pytest.mark.parametrize("broker", NOWHERE)
def test_many_at_a_broker_that_is_down(broker: str) -> None:
    assert BrokerQueues().looks(broker, ["tasks"]) == {}


@pytest.mark.parametrize("broker", NOWHERE)
def test_a_broker_that_is_down(at: At, queue: str, broker: str) -> None:
    if isinstance(at.port, MemoryBrokerQueues):
        at.port.breaks(broker)
    assert at.port.depth(broker, queue) is None
    with pytest.raises(Unavailable):
        at.port.purge(broker, queue)


def test_what_is_next_is_known_by_a_sign_until_it_is_taken(valkey_url: str, queue: str) -> None:
    def look() -> Look:
        return BrokerQueues().looks(valkey_url, [queue])[queue]

    assert look() == Look(0)
    publish(valkey_url, queue, 1, timestamp=1_800_000_000)
    first = look()
    assert (first.messages, len(first.signs), first.sent_at) == (1, 1, 1_800_000_000)
    publish(valkey_url, queue, 1)
    assert (look().messages, look().signs) == (2, first.signs)
    publish(valkey_url, queue, 1, priority=9)
    assert look().signs > first.signs
    with Connection(valkey_url) as connection:
        message = connection.channel().basic_get(queue, no_ack=True)
        assert message is not None
    later = look()
    assert later.messages == 2
    assert later.sent_at in (None, first.sent_at)
    assert len(later.signs & look().signs) == len(later.signs)


def test_a_message_too_long_to_be_shown_is_known_all_the_same(valkey_url: str, queue: str) -> None:
    with Connection(valkey_url) as connection:
        producer = Producer(connection.channel())
        body = "x" * depths.MOST_SHOWN
        declared = Queue(queue, Exchange(queue), queue)
        producer.publish(
            body, declare=[declared], exchange=queue, routing_key=queue, timestamp=1_800_000_000
        )
    look = BrokerQueues().looks(valkey_url, [queue])[queue]
    assert (look.messages, len(look.signs), look.sent_at) == (1, 1, None)


def test_from_a_queue_without_consumers_nobody_takes(rabbitmq_url: str, queue: str) -> None:
    publish(rabbitmq_url, queue, 1)
    assert BrokerQueues().looks(rabbitmq_url, [queue]) == {queue: Look(1, frozenset({ALONE}))}
    with Connection(rabbitmq_url) as connection:
        channel = connection.channel()
        channel.basic_qos(0, 1, False)
        channel.basic_consume(queue, callback=lambda message: None)
        assert BrokerQueues().looks(rabbitmq_url, [queue])[queue].signs == frozenset()


def test_rabbitmq_shows_no_message(rabbitmq_url: str, queue: str) -> None:
    send(rabbitmq_url, queue, "house.add")
    found = BrokerQueues().waiting(rabbitmq_url, [queue])
    assert found == {queue: Waiting(Depth(1, 0), None)}
    with Connection(rabbitmq_url) as connection:
        message = connection.channel().basic_get(queue)
        # Nobody has taken it yet.
        assert message.delivery_info["redelivered"] is False


@pytest.mark.parametrize("protocol", [1, 2])
def test_tasks_that_wait(valkey_url: str, queue: str, protocol: int) -> None:
    for task, priority in (("house.add", 0), ("house.add", 9), ("house.old", 0)):
        send(valkey_url, queue, task, priority, protocol)
    publish(valkey_url, queue, 1)
    found = BrokerQueues().waiting(valkey_url, [queue])
    tasks = {"house.add": 2, "house.old": 1}
    assert found == {queue: Waiting(Depth(4, None), tasks, looked=4)}


def test_only_the_first_messages_are_looked_at(
    valkey_url: str, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(depths, "MOST_MESSAGES", 2)
    for task in ("house.first", "house.second", "house.third"):
        send(valkey_url, queue, task)
    (found,) = BrokerQueues().waiting(valkey_url, [queue]).values()
    assert found == Waiting(Depth(3, None), {"house.first": 1, "house.second": 1}, looked=2)
    monkeypatch.setattr(depths, "MOST_BYTES", 10)
    (found,) = BrokerQueues().waiting(valkey_url, [queue]).values()
    assert found == Waiting(Depth(3, None), {}, looked=0)


def test_what_is_no_message_names_no_task(valkey_url: str, queue: str) -> None:
    with Connection(valkey_url) as connection:
        client = connection.default_channel.client
        client.lpush(queue, b"\xff", "[]", "{}", '{"headers": {"task": 3}}', '{"headers": null}')
        client.lpush(queue, '{"headers": {}, "body": "W10="}', '{"headers": {}, "body": 3}')
    (found,) = BrokerQueues().waiting(valkey_url, [queue]).values()
    assert found == Waiting(Depth(7, None), {}, looked=7)


def test_consumers_and_what_they_have_taken(rabbitmq_url: str, queue: str) -> None:
    publish(rabbitmq_url, queue, 3)
    with Connection(rabbitmq_url) as connection:
        channel = connection.channel()
        channel.basic_qos(0, 2, False)
        seen: list[object] = []
        channel.basic_consume(queue, callback=seen.append)
        while len(seen) < 2:
            connection.drain_events(timeout=5)
        assert BrokerQueues().depth(rabbitmq_url, queue) == Depth(1, 1)


def test_a_queue_that_is_somebody_s_alone(rabbitmq_url: str, queue: str) -> None:
    with Connection(rabbitmq_url) as connection:
        connection.channel().queue_declare(queue, exclusive=True)
        assert BrokerQueues().depth(rabbitmq_url, queue) is None
        others = [f"{queue}-1", queue, f"{queue}-2"]
        found = BrokerQueues().looks(rabbitmq_url, others)
        assert {name: look.messages for name, look in found.items()} == {others[0]: 0, others[2]: 0}
        assert list(BrokerQueues().waiting(rabbitmq_url, others)) == [others[0], others[2]]
        with pytest.raises(Conflict, match="RESOURCE_LOCKED"):
            BrokerQueues().purge(rabbitmq_url, queue)


@pytest.mark.parametrize("steps", [[0, 3, 6, 9], [0, 1, 2, 5], list(range(10))])
def test_priorities_are_lists_of_their_own(valkey_url: str, queue: str, steps: list[int]) -> None:
    options = {"priority_steps": steps, "queue_order_strategy": "priority"}
    with Connection(valkey_url, transport_options=options) as connection:
        producer = Producer(connection.channel())
        for priority in range(10):
            producer.publish(
                {},
                exchange=queue,
                routing_key=queue,
                declare=[Queue(queue, Exchange(queue), queue)],
                priority=priority,
            )
    assert BrokerQueues().depth(valkey_url, queue) == Depth(10, None)
    assert BrokerQueues().purge(valkey_url, queue) == 10
    assert BrokerQueues().depth(valkey_url, queue) == Depth(0, None)


def test_what_has_the_name_and_is_no_queue_stays(valkey_url: str, queue: str) -> None:
    with Connection(valkey_url) as connection:
        client = connection.default_channel.client
        client.hset(queue, "of somebody", "else")
        assert BrokerQueues().depth(valkey_url, queue) is None
        others = [f"{queue}-1", queue, f"{queue}-2"]
        assert list(BrokerQueues().waiting(valkey_url, others)) == [others[0], others[2]]
        with pytest.raises(Conflict, match="WRONGTYPE"):
            BrokerQueues().purge(valkey_url, queue)
        assert client.hget(queue, "of somebody") == b"else"


def test_nothing_stays_connected(at: At, queue: str) -> None:
    me = psutil.Process()
    before = len(me.net_connections())
    for broker in (at.broker, *NOWHERE):
        at.port.depth(broker, queue)
    assert len(me.net_connections()) == before


@pytest.mark.parametrize("form", ["amqp://guest:guest@127.0.0.1:{}//", "redis://127.0.0.1:{}/0"])
def test_a_broker_that_hangs_is_not_waited_for(form: str, queue: str) -> None:
    # The kernel connects; nobody ever answers.
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        begun = time.monotonic()
        url = form.format(deaf.getsockname()[1])
        assert BrokerQueues().depth(url, queue) is None
        assert time.monotonic() - begun < AT_ONCE_S
        begun = time.monotonic()
        with pytest.raises(Unavailable):
            BrokerQueues().waiting(url, [queue, "others"])
        assert time.monotonic() - begun < AT_ONCE_S
