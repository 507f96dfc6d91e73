"""Messages of a plain producer: they arrive where the declarations say, and stay so."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from kombu import Connection, Exchange, Producer

from tests.acceptance.celeryside import ask_worker, lines, queues, worker_pid
from tests.acceptance.conftest import EMBEDDED, RABBITMQ, either
from tests.acceptance.harness import BranchHost, unique
from tests.support import eventually

pytestmark = pytest.mark.timeout(120)
APP = "house"
WORKERS = ("w1", "w2")


@pytest.fixture(scope="module", params=either(RABBITMQ, EMBEDDED))
def broker(request: pytest.FixtureRequest) -> str | None:
    url: str = request.getfixturevalue("rabbitmq_url")
    return url if request.param == RABBITMQ else None


@pytest.fixture(scope="module")
def house(host: BranchHost, project: Path) -> BranchHost:
    """A branch with two workers, each for one task at a time."""
    host.post(f"/{APP}/", 201, celery_app="house:app", directory=str(project))
    for worker in WORKERS:
        host.make(APP, worker)
    return host


@dataclass(frozen=True)
class Case:
    """A queue for each worker: its key, the key of a message for it, and how it is sent."""

    kind: str
    keys: tuple[str, str]
    sent: tuple[str, str]
    options: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)


DIRECT = ("orders.eu.new", "orders.us.new")
TOPIC = ("news.*.sport", "news.#.weather")
SENT = ("news.today.sport", "news.of.today.weather")
CASES = {
    "direct": Case("direct", DIRECT, DIRECT),
    "topic": Case("topic", TOPIC, SENT),
    "priority": Case("direct", DIRECT, DIRECT, {"max_priority": 9}, {"priority": 7}),
    "ttl": Case("direct", DIRECT, DIRECT, {"message_ttl": 60}),
    "all": Case("topic", TOPIC, SENT, {"max_priority": 9, "message_ttl": 60}, {"priority": 3}),
}


#: The plain one, and the one that has it all.
QUICK = ("direct", "all")


def case(name: str) -> Any:
    marks = [] if name in QUICK else [pytest.mark.faults]
    return pytest.param(CASES[name], id=name, marks=marks)


def declare(house: BranchHost, queue: str, **values: Any) -> None:
    house.post(f"/{APP}/queues/{queue}/", 201, **values)


def consume(house: BranchHost, worker: str, queue: str) -> None:
    house.post(f"/{APP}/instances/{worker}/queues/{queue}/", 201)


def send(
    house: BranchHost, exchange: str, kind: str, key: str, *words: object, **more: Any
) -> None:
    """A task's message, from a producer that knows no Celery."""
    target = Exchange(exchange, type=kind)
    with Connection(house.broker) as connection:
        Producer(connection.channel()).publish(
            [list(map(str, words)), {}, {}],
            exchange=target,
            declare=[target],
            routing_key=key,
            headers={"task": "house.sign", "id": unique("id")},
            serializer="json",
            **more,
        )


def kill(house: BranchHost, workers: Sequence[str]) -> dict[str, int]:
    """kill -9, until they are gone; the pids that were.

    Before that Redis may give a message to one that dies, and has it no more.
    """
    pids = {worker: worker_pid(house, worker) for worker in workers}
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids.values()))
    return pids


def await_others(house: BranchHost, pids: dict[str, int]) -> None:
    for worker, pid in pids.items():
        eventually(
            lambda name=worker, old=pid: (
                (ask_worker(house, name, "stats") or {}).get("pid") not in (None, old)
            ),
            20,
        )


@pytest.mark.parametrize("case", [case(name) for name in CASES])
def test_they_arrive_in_the_right_worker(house: BranchHost, case: Case, tmp_path: Path) -> None:
    note, exchange = tmp_path / "note", unique("ex")
    own = {worker: unique("q") for worker in WORKERS}
    for (worker, queue), key in zip(own.items(), case.keys, strict=True):
        declare(
            house,
            queue,
            exchange=exchange,
            exchange_type=case.kind,
            routing_key=key,
            options=case.options,
        )
        consume(house, worker, queue)
    expected: list[str] = []

    def send_to_each(word: str) -> None:
        for worker, key in zip(WORKERS, case.sent, strict=True):
            send(house, exchange, case.kind, key, note, word, **case.more)
            expected.append(f"{worker} {word}")

    send_to_each("before")
    eventually(lambda: sorted(lines(note)) == sorted(expected))
    pids = kill(house, WORKERS)
    send_to_each("meanwhile")
    await_others(house, pids)
    for worker, queue in own.items():
        assert queue in queues(house, worker)
    send_to_each("after")
    eventually(lambda: sorted(lines(note)) == sorted(expected), 20)


def test_a_fanout_reaches_everybody(house: BranchHost, tmp_path: Path) -> None:
    note, exchange = tmp_path / "note", unique("ex")
    for worker in WORKERS:
        declare(
            house,
            queue := unique("q"),
            exchange=exchange,
            exchange_type="fanout",
            routing_key="x.y",
        )
        consume(house, worker, queue)

    # On Redis a fanout passes on what has the key of the binding, to who listens.
    send(house, exchange, "fanout", "x.y", note, "before")
    eventually(lambda: sorted(lines(note)) == ["w1 before", "w2 before"])
    await_others(house, kill(house, ["w1"]))
    send(house, exchange, "fanout", "x.y", note, "after")
    eventually(lambda: sorted(lines(note)) == ["w1 after", "w1 before", "w2 after", "w2 before"])


def test_the_more_important_comes_first(house: BranchHost, tmp_path: Path) -> None:
    note, queue = tmp_path / "note", unique("q")
    declare(house, queue, options={"max_priority": 9})
    consume(house, "w1", queue)
    house.delete(f"/{APP}/instances/w1/queues/{queue}/")
    for priority in (1, 5, 9, 5):
        send(house, queue, "direct", queue, note, priority, priority=priority)
    eventually(lambda: house.get(f"/{APP}/queues/{queue}/")["depth"] == 4)

    consume(house, "w1", queue)

    eventually(lambda: len(lines(note)) == 4)
    if house.broker.startswith("amqp"):
        assert lines(note) == ["w1 9", "w1 5", "w1 5", "w1 1"]


def test_what_is_too_old_is_dropped(house: BranchHost, tmp_path: Path) -> None:
    note, queue = tmp_path / "note", unique("q")
    declare(house, queue, options={"message_ttl": 0.2})
    consume(house, "w1", queue)
    house.delete(f"/{APP}/instances/w1/queues/{queue}/")
    send(house, queue, "direct", queue, note, "old")
    if house.broker.startswith("redis"):
        # It lets no message grow too old.
        consume(house, "w1", queue)
        eventually(lambda: lines(note) == ["w1 old"])
        return
    eventually(lambda: house.get(f"/{APP}/queues/{queue}/")["depth"] == 0)

    consume(house, "w1", queue)
    send(house, queue, "direct", queue, note, "new")

    eventually(lambda: lines(note) == ["w1 new"])
