"""What workers are asked and waited for: in memory, on RabbitMQ, on Valkey."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from kombu import Connection
from kombu.pidbox import Mailbox

from cyme_supd.clock import SystemClock
from cyme_supd.domain.foresight import RunningTask
from cyme_supd.domain.orphans import Inventory
from cyme_supd.domain.ports import WorkerQuestions as Port
from cyme_supd.domain.spec import Worker
from cyme_supd.errors import Unavailable
from cyme_supd.testing.questions import MemoryQuestions
from cyme_supd.workers.questions import WorkerQuestions
from tests.acceptance.harness import unique
from tests.support import eventually
from tests.unit.values import a_worker

TASK = RunningTask("w1", "id-1", "house.slow", datetime.fromtimestamp(7, UTC))
NOWHERE = ("amqp://guest:guest@127.0.0.1:1//", "redis://127.0.0.1:1/0")
KNOWN = Inventory(frozenset({"dq.w1", "tasks"}), frozenset({"house.add", "house.slow"}))
#: In Celery's own words.
SAID: dict[str, Any] = {
    "active_queues": [{"name": "dq.w1", "exchange": {}}, {"name": "tasks"}],
    "registered": ["house.add", "house.slow [rate_limit=1/m]"],
    "stats": {"pid": 7},
    "active": [{"id": "id-1", "name": "house.slow", "time_start": 7.0, "args": "?"}],
}


@dataclass(frozen=True)
class At:
    """One of the ports, a broker, and how workers come to answer there."""

    port: Port
    broker: str
    answering: Callable[[Worker], Any]


@contextmanager
def played(worker: Worker) -> Iterator[None]:
    """Celery's side of remote control, with what :data:`SAID` has it say."""
    is_over, is_up = threading.Event(), threading.Event()

    def listen() -> None:
        with Connection(worker.broker) as connection:
            node = Mailbox("celery", type="fanout", accept=["json"], serializer="json")(
                connection
            ).Node(worker.nodename, channel=connection.channel())
            for command, said in SAID.items():
                node.handlers[command] = lambda _state, said=said, **_: said
            node.listen(callback=lambda body, message: node.handle_message(body, message))
            is_up.set()
            while not is_over.is_set():
                with suppress(TimeoutError):
                    connection.drain_events(timeout=0.1)

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        assert is_up.wait(10)
        yield
    finally:
        is_over.set()
        thread.join()


@pytest.fixture(params=["memory", "rabbitmq", "valkey"])
def at(request: pytest.FixtureRequest) -> At:
    if request.param != "memory":
        url: str = request.getfixturevalue(f"{request.param}_url")
        return At(WorkerQuestions(SystemClock()), url, played)
    memory = MemoryQuestions()

    @contextmanager
    def answering(worker: Worker) -> Iterator[None]:
        memory.known[worker.nodename], memory.answer = KNOWN, SAID["stats"]
        memory.running, memory.busy = [TASK], {"w2"}
        yield

    return At(memory, "amqp://h//", answering)


def workers(at: At, *names: str) -> list[Worker]:
    branch = unique("b")
    return [replace(a_worker(name=name, branch=branch), broker=at.broker) for name in names]


def test_what_those_have_that_answer(at: At) -> None:
    first, second = workers(at, "w1", "w2")
    with at.answering(first):
        found = eventually(lambda: at.port.inventories([first, second], 0.5))
    assert found == {"w1": KNOWN}


def test_what_those_run_that_answer(at: At) -> None:
    first, second = workers(at, "w1", "w2")
    with at.answering(first):
        found = eventually(lambda: at.port.active([first, second], 0.5))
    assert found == {"w1": (TASK,)}


def test_it_is_back_as_soon_as_all_have_answered(at: At) -> None:
    (worker,) = workers(at, "w1")
    with at.answering(worker):
        eventually(lambda: at.port.inventories([worker], 0.5))
        begun = time.monotonic()
        assert at.port.inventories([worker], 20.0) == {"w1": KNOWN}
        assert time.monotonic() - begun < 10.0


def test_the_stats_of_one(at: At) -> None:
    (worker,) = workers(at, "w1")
    with at.answering(worker):
        assert at.port.stats(worker, 10.0) == {"pid": 7}


def test_the_stats_of_those_that_answer(at: At) -> None:
    first, second = workers(at, "w1", "w2")
    with at.answering(first):
        found = eventually(lambda: at.port.stats_of_all([first, second], 0.5))
    assert found == {"w1": {"pid": 7}}


def test_nobody_is_there(at: At) -> None:
    silent = workers(at, "w1", "w2")
    begun = time.monotonic()
    assert at.port.inventories(silent, 0.2) == {}
    assert time.monotonic() - begun < 0.8
    assert at.port.stats_of_all(silent, 0.2) == {}
    with pytest.raises(Unavailable):
        at.port.stats(silent[0], 0.2)


@pytest.mark.parametrize("broker", NOWHERE)
def test_a_broker_that_is_down(at: At, broker: str) -> None:
    if isinstance(at.port, MemoryQuestions):
        at.port.down.add(broker)
    with pytest.raises(Unavailable):
        at.port.inventories([replace(a_worker(), broker=broker)], 0.5)
    with pytest.raises(Unavailable):
        at.port.active([replace(a_worker(), broker=broker)], 0.5)
    with pytest.raises(Unavailable):
        at.port.stats_of_all([replace(a_worker(), broker=broker)], 0.5)
