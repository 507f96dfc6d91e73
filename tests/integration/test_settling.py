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
from kombu.common import QoS

from cyme_supd.workers.holding import EXTRA, LOOK_EVERY_S, QUICK, Holding
from cyme_supd.workers.letters import LETTER_SIZE, Told
from cyme_supd.workers.outgoing import Message
from cyme_supd.workers.settling import GATHER_S, HAND_OVER_S, Settler, collect, traced
from tests.support import eventually


class Ended:
    """A request as the settler sees it."""

    def __init__(self, queue: str, id: str, body: bytes = b"{}") -> None:
        self.id = id
        self.told = Told(None, queue, Message(id, body))
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
        self.qos = QoS(lambda **limits: None, 4)
        self.settler.open(
            SimpleNamespace(hub=self.hub, pool=pool, connection=self.connection, qos=self.qos)
        )

    def end(self, id: str, body: bytes = b"{}") -> Ended:
        ended = Ended(self.queue, id, body)
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
        """The letters, each by the id of its first task."""
        return [id for id, _ in self.letters()]

    def letters(self) -> list[Any]:
        found = []
        with Connection(self.url) as connection:
            while (message := connection.default_channel.basic_get(self.queue, True)) is not None:
                found.append((message.properties["correlation_id"], message.body))
        return found

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
    assert house.letters() == [("1", "[{},{}]")]


def test_a_long_report_has_a_letter_of_its_own(house: House) -> None:
    long = b'"' + LETTER_SIZE * b"a" + b'"'
    ended = [house.end("1"), house.end("2", long), house.end("3"), house.end("4")]
    eventually(lambda: house.settled(*ended))
    assert house.letters() == [("1", "{}"), ("2", long.decode()), ("3", "[{},{}]")]


@pytest.mark.parametrize(
    ("at_hand", "ends", "delay_s"),
    [
        pytest.param(0, 1, HAND_OVER_S, id="nothing else to do"),
        pytest.param(1, 1, GATHER_S, id="others to come"),
        pytest.param(1, 2, HAND_OVER_S, id="half of what it may hold"),
    ],
)
def test_gathered_only_where_the_worker_has_others_to_do(
    house: House, monkeypatch: pytest.MonkeyPatch, at_hand: int, ends: int, delay_s: float
) -> None:
    eventually(lambda: house.settled(house.end("0")))
    monkeypatch.setattr(state, "reserved_requests", range(at_hand))
    delays: list[float] = []
    later = house.hub.call_later

    def noted(delay_s: float, *args: Any) -> Any:
        delays.append(delay_s)
        return later(delay_s, *args)

    monkeypatch.setattr(house.hub, "call_later", noted)
    for n in range(ends):
        house.end(str(n))
    assert [each for each in delays if each != LOOK_EVERY_S][-1] == delay_s


def test_where_the_queue_has_gone(house: House) -> None:
    one = house.end("1")
    eventually(lambda: house.settled(one))
    house.drop()
    two, three = house.end("2"), house.end("3")
    eventually(lambda: house.settled(two, three))
    assert house.letters() == [("2", "[{},{}]")]


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


def test_holds_more_while_tasks_are_quick() -> None:
    clock = [0.0]
    hub = SimpleNamespace(timers=[])
    hub.call_later = lambda s, call: hub.timers.append((clock[0] + s, call))
    qos = QoS(lambda **limits: None, 4)
    holding = Holding(SimpleNamespace(hub=hub, qos=qos))

    def second(ends: int) -> int:
        for _ in range(ends):
            holding.ended()
        clock[0] += LOOK_EVERY_S
        due, hub.timers = hub.timers, []
        for _, call in due:
            call()
        return holding.most

    assert second(QUICK - 1) == 4
    assert second(QUICK) == 4 + EXTRA
    assert second(QUICK) == 4 + EXTRA
    assert second(QUICK - 1) == 4
    assert not hub.timers
    assert second(QUICK) == 4 + EXTRA


def test_any_number_stays_any_number() -> None:
    qos = QoS(lambda **limits: None, 0)
    holding = Holding(SimpleNamespace(hub=SimpleNamespace(call_later=lambda *a: None), qos=qos))
    for _ in range(2 * QUICK):
        holding.ended()
    assert holding.most == 0


def test_a_task_leaves_its_report_only_where_somebody_takes_it() -> None:
    report = Message("1", b"{}")
    assert not collect("q", report)

    def trace(*args: int) -> tuple[int, str, float]:
        assert collect("q", report)
        return 0, f"ran {args}", 0.5

    assert traced(trace, 1, 2) == (0, Told("ran (1, 2)", "q", report), 0.5)
    assert not collect("q", report)
