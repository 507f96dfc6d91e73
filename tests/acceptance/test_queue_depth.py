"""How deep queues are, and emptying them, on both brokers and without one."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Connection, Exchange, Producer, Queue

from tests.acceptance.celeryside import lines, produce
from tests.acceptance.conftest import EMBEDDED, RABBITMQ, either
from tests.acceptance.harness import BranchHost, unique
from tests.services import free_port
from tests.support import eventually

pytestmark = pytest.mark.timeout(120)
APP = "house"
AT_ONCE_S = 1.0


@pytest.fixture(scope="module")
def house(host: BranchHost, project: Path) -> BranchHost:
    host.post(f"/{APP}/", 201, celery_app="house:app", directory=str(project))
    return host


@pytest.fixture
def queue(house: BranchHost) -> Iterator[str]:
    name = unique("q")
    yield name
    with Connection(house.broker) as connection:
        Queue(name, Exchange(name), name)(connection.channel()).delete()


def send(house: BranchHost, queue: str, priorities: list[int]) -> None:
    declared = Queue(queue, Exchange(queue), queue, max_priority=9)
    with Connection(house.broker) as connection:
        producer = Producer(connection.channel())
        for priority in priorities:
            producer.publish(
                {}, exchange=queue, routing_key=queue, declare=[declared], priority=priority
            )


def told(house: BranchHost, queue: str, app: str = APP) -> tuple[int | None, int | None]:
    """Depth and consumers; ``None`` also from a broker that takes longer than it may."""
    found = house.get(f"/{app}/queues/{queue}/")
    return found["depth"], found["consumers"]


def test_what_waits_and_who_consumes(
    house: BranchHost, queue: str, project: Path, tmp_path: Path
) -> None:
    tells_consumers = house.broker.startswith("amqp")
    nobody, one = (0, 1) if tells_consumers else (None, None)
    worker, note = unique("w"), tmp_path / "note"
    house.post(f"/{APP}/queues/{queue}/", 201)
    eventually(lambda: told(house, queue) == (0, nobody))
    for word in ("a", "b"):
        produce(project, house.broker, "write", queue, note, word)
    eventually(lambda: told(house, queue) == (2, nobody))

    house.make(APP, worker, queues=queue)

    eventually(lambda: sorted(lines(note)) == ["a", "b"])
    eventually(lambda: told(house, queue) == (0, one))
    house.delete(f"/{APP}/instances/{worker}/")


def test_emptying(house: BranchHost, queue: str) -> None:
    path = f"/{APP}/queues/{queue}/"
    house.post(path, 201, options={"max_priority": 9})
    send(house, queue, [0, 3, 5, 9])
    eventually(lambda: told(house, queue)[0] == 4)

    assert house.delete(path) == {"ok": "ok"}
    house.post(path, 201, options={"max_priority": 9})
    eventually(lambda: told(house, queue)[0] == 4)

    assert house.delete(path, purge=1) == {"ok": "ok"}
    house.get(path, 404)
    house.post(path, 201, options={"max_priority": 9})
    eventually(lambda: told(house, queue)[0] == 0)


def test_emptying_one_that_is_kept(house: BranchHost, queue: str) -> None:
    path = f"/{APP}/queues/{queue}/"
    house.post(path, 201, options={"max_priority": 9})
    send(house, queue, [0, 3, 9])
    eventually(lambda: told(house, queue)[0] == 3)
    refused = house.post(f"{path}purge/", 409, expect=2)
    assert "3" in refused["error"]["message"]
    assert told(house, queue)[0] == 3
    assert house.post(f"{path}purge/", 200, expect=3) == {"purged": 3}
    assert told(house, queue)[0] == 0


@pytest.mark.parametrize("broker", either(EMBEDDED, RABBITMQ), indirect=True, scope="module")
@pytest.mark.parametrize("form", ["amqp://guest:guest@127.0.0.1:{}//", "redis://127.0.0.1:{}/0"])
@pytest.mark.parametrize("is_deaf", [True, False])
def test_a_broker_that_does_not_answer(house: BranchHost, form: str, is_deaf: bool) -> None:
    app = unique("house")
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1] if is_deaf else free_port()
        house.post(f"/{app}/", 201, broker=form.format(port))
        house.post(f"/{app}/queues/q/", 201)

        begun = time.monotonic()
        assert told(house, "q", app) == (None, None)
        assert time.monotonic() - begun < AT_ONCE_S

        refused = house.delete(f"/{app}/queues/q/", 503, purge=1)
        assert refused["error"]["code"] == "unavailable"
        assert house.get(f"/{app}/queues/") == ["q"]
    assert house.delete(f"/{app}/queues/q/") == {"ok": "ok"}
