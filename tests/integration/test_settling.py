"""Reports that a worker's main process has its broker keep before it acknowledges."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery.concurrency.prefork import TaskPool
from celery.worker import state
from kombu import Connection
from kombu.asynchronous import Hub

from cyme_supd.workers.outgoing import Message
from cyme_supd.workers.settling import Settler, Told, collect, traced
from tests.support import eventually


class Ended:
    """A request as the settler sees it."""

    def __init__(self, queue: str, id: str) -> None:
        self.id = id
        self.told = Told(None, queue, Message(id, b"{}"))
        self.is_acked = False

    def acknowledge_now(self) -> None:
        self.is_acked = True


class House:
    """A worker's main process, as far as a settler knows it, on RabbitMQ."""

    def __init__(self, url: str) -> None:
        self.queue = f"cyme.results.{secrets.token_hex(6)}"
        self.hub = Hub()
        self.settler = Settler()
        self.url = url
        self.connect()

    def connect(self) -> None:
        self.connection = Connection(self.url)
        pool = TaskPool.__new__(TaskPool)
        self.settler.open(SimpleNamespace(hub=self.hub, pool=pool, connection=self.connection))

    def end(self, id: str) -> Ended:
        ended = Ended(self.queue, id)
        self.settler.settle(ended)  # type: ignore[arg-type]
        return ended

    def turn(self) -> None:
        self.hub.fire_timers()
        with contextlib.suppress(TimeoutError):
            self.connection.drain_events(timeout=0.02)

    def settled(self, *ended: Ended) -> bool:
        self.turn()
        return all(each.is_acked for each in ended)

    def kept(self) -> list[Any]:
        ids = []
        with Connection(self.url) as connection:
            while (message := connection.default_channel.basic_get(self.queue, True)) is not None:
                ids.append(message.properties["correlation_id"])
        return ids

    def drop(self) -> None:
        with Connection(self.url) as connection:
            connection.default_channel.queue_delete(self.queue)


@pytest.fixture
def house(rabbitmq_url: str) -> Iterator[House]:
    house = House(rabbitmq_url)
    yield house
    house.drop()
    house.connection.close()
    house.hub.close()


def test_acknowledged_when_it_is_kept(house: House) -> None:
    one, two = house.end("1"), house.end("2")
    assert not one.is_acked
    eventually(lambda: house.settled(one, two))
    assert house.kept() == ["1", "2"]


def test_where_the_queue_has_gone(house: House) -> None:
    one = house.end("1")
    eventually(lambda: house.settled(one))
    house.drop()
    two, three = house.end("2"), house.end("3")
    eventually(lambda: house.settled(two, three))
    assert sorted(house.kept()) == ["2", "3"]


def test_what_was_under_way_when_the_connection_broke_goes_again(house: House) -> None:
    ended = house.end("1")
    house.hub.fire_timers()
    house.connection.collect()
    house.connect()
    eventually(lambda: house.settled(ended))
    assert set(house.kept()) == {"1"}


def test_a_worker_that_ends_waits_for_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    before = house.end("1")
    monkeypatch.setattr(state, "should_stop", 0)
    assert house.end("2").is_acked
    assert before.is_acked


def test_a_broker_that_is_gone_at_the_end_is_not_waited_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.connection.collect()
    monkeypatch.setattr(state, "should_stop", 0)
    assert not house.end("1").is_acked
    house.connect()


def test_a_task_leaves_its_report_only_where_somebody_takes_it() -> None:
    report = Message("1", b"{}")
    assert not collect("q", report)

    def trace(*args: int) -> tuple[int, str, float]:
        assert collect("q", report)
        return 0, f"ran {args}", 0.5

    assert traced(trace, 1, 2) == (0, Told("ran (1, 2)", "q", report), 0.5)
    assert not collect("q", report)
