"""How old a queue is, found out from real brokers, look by look."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from kombu import Connection, Exchange, Producer, Queue

from cyme_supd.domain.age import age_s
from cyme_supd.testing.clock import FakeClock
from cyme_supd.workers.backlogs import BacklogWatch
from cyme_supd.workers.depths import BrokerQueues


@pytest.fixture(params=["rabbitmq", "valkey"])
def broker(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def queue(broker: str) -> Iterator[Queue]:
    name = f"age-{uuid4().hex}"
    with Connection(broker) as connection:
        declared = Queue(name, Exchange(name), name)(connection.channel())
        declared.declare()
        yield declared
        declared.delete()
        declared.exchange.delete()


class Watch:
    """A look every ten seconds of a clock that is moved by hand."""

    def __init__(self, broker: str, queue: Queue) -> None:
        self.clock = FakeClock()
        self._at = (broker, queue.name)
        self._watch = BacklogWatch(BrokerQueues(), self.clock, 10.0)
        self._watch.watch([self._at])

    def age(self) -> float | None:
        self.clock.advance(10.0)
        self._watch.look()
        return age_s(self._watch.backlog(*self._at), self.clock.monotonic())


def publish(queue: Queue, **properties: object) -> None:
    Producer(queue.channel).publish(
        {}, exchange=queue.exchange, routing_key=queue.name, **properties
    )


def test_it_grows_until_what_is_next_is_taken(broker: str, queue: Queue) -> None:
    watch = Watch(broker, queue)
    assert watch.age() == 0.0
    publish(queue)
    publish(queue)
    assert [watch.age() for _ in range(3)] == [0.0, 10.0, 20.0]
    first = queue.get(no_ack=True)
    assert first is not None
    assert watch.age() == 0.0
    queue.purge()
    assert watch.age() == 0.0


def test_a_message_that_says_when_it_was_sent(valkey_url: str) -> None:
    name = f"age-{uuid4().hex}"
    with Connection(valkey_url) as connection:
        queue = Queue(name, Exchange(name), name)(connection.channel())
        queue.declare()
        watch = Watch(valkey_url, queue)
        publish(queue, timestamp=int(watch.clock.now().timestamp()) - 100)
        assert watch.age() == 110.0
        queue.purge()


def test_of_a_queue_that_is_consumed_from_rabbitmq_shows_nothing(rabbitmq_url: str) -> None:
    name = f"age-{uuid4().hex}"
    with Connection(rabbitmq_url) as connection:
        channel = connection.channel()
        queue = Queue(name, Exchange(name), name)(channel)
        queue.declare()
        for _ in range(3):
            publish(queue)
        watch = Watch(rabbitmq_url, queue)
        assert watch.age() == 0.0
        channel.basic_qos(0, 1, False)
        consumer = channel.basic_consume(name, callback=lambda message: None)
        assert watch.age() is None
        channel.basic_cancel(consumer)
        queue.delete()
        queue.exchange.delete()
