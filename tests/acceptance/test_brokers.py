"""Apps and instances with a broker of their own, beside the branch's."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from kombu import Connection, Queue

from tests.acceptance.celeryside import ask_worker, has_queue, is_silent, lines, produce
from tests.acceptance.conftest import EMBEDDED, RABBITMQ, either
from tests.acceptance.harness import BranchHost, unique
from tests.support import eventually

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module", params=either(EMBEDDED, RABBITMQ))
def broker(request: pytest.FixtureRequest) -> str | None:
    url: str = request.getfixturevalue("rabbitmq_url")
    return url if request.param == RABBITMQ else None


@pytest.fixture
def other(request: pytest.FixtureRequest, host: BranchHost) -> str:
    """The URL of a broker that is not the branch's, nor of its kind."""
    kind = "valkey" if host.broker.startswith("amqp") else "rabbitmq"
    url: str = request.getfixturevalue(f"{kind}_url")
    return url


@pytest.fixture
def app(host: BranchHost, project: Path) -> Iterator[str]:
    name = unique("house")
    host.post(f"/{name}/", 201, celery_app="house:app", directory=str(project))
    yield name
    host.delete(f"/{name}/", force=1)


def consumed(host: BranchHost, worker: str, broker: str) -> set[str]:
    return {queue["name"] for queue in ask_worker(host, worker, "active_queues", broker)}


def pid_at(host: BranchHost, worker: str, broker: str) -> Any:
    return (ask_worker(host, worker, "stats", broker) or {}).get("pid")


def test_an_instance_s_own(
    host: BranchHost, other: str, app: str, project: Path, tmp_path: Path
) -> None:
    here, there, note = unique("w"), unique("w"), tmp_path / "note"
    host.make(app, here)
    host.make(app, there, broker=other)
    shown = host.get(f"/{app}/instances/{there}/")["broker"]
    assert (shown["transport"], shown["port"]) == (urlsplit(other).scheme, urlsplit(other).port)
    assert is_silent(host, there)
    assert is_silent(host, here, other)

    host.post(f"/{app}/queues/{(queue := unique('q'))}/", 201)
    host.post(f"/{app}/instances/{there}/queues/{queue}/", 201)
    assert consumed(host, there, other) == {f"dq.{there}", queue}
    host.post(f"/{app}/instances/{there}/autoscale/", max=2, min=1)
    scaler = ask_worker(host, there, "stats", other)["autoscaler"]
    assert (scaler["max"], scaler["min"]) == (2, 1)

    produce(project, other, "sign", queue, note, "before")
    produce(project, host.broker, "sign", f"dq.{here}", note, "before")
    eventually(lambda: sorted(lines(note)) == sorted(f"{one} before" for one in (here, there)))

    pid = pid_at(host, there, other)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(pid))
    produce(project, other, "sign", queue, note, "after")
    eventually(lambda: f"{there} after" in lines(note), 30)
    assert pid_at(host, there, other) not in (None, pid)

    host.delete(f"/{app}/instances/{there}/")
    eventually(lambda: not has_queue(other, f"dq.{there}"))
    assert has_queue(host.broker, f"dq.{here}")


def test_its_queue_is_looked_at_where_it_is_consumed(
    host: BranchHost, other: str, app: str, project: Path, tmp_path: Path
) -> None:
    worker, queue, note = unique("w"), unique("q"), tmp_path / "note"
    path = f"/{app}/queues/{queue}/"
    host.post(path, 201)
    produce(project, host.broker, "sign", queue, note, "lost")
    assert host.get(path)["depth"] == 1
    host.make(app, worker, broker=other, queues=queue)

    assert host.get(path)["depth"] == 0

    host.post(f"/{app}/instances/{worker}/disable/")
    for _ in range(2):
        produce(project, other, "sign", queue, note, "found")
    # With nobody to consume it is the app's broker that counts.
    assert host.get(path)["depth"] == 1
    host.post(f"/{app}/instances/{worker}/enable/")
    eventually(lambda: lines(note) == [f"{worker} found"] * 2)


def test_an_app_s_own(
    host: BranchHost, other: str, app: str, project: Path, tmp_path: Path
) -> None:
    worker, queue, note = unique("w"), unique("q"), tmp_path / "note"
    host.post(f"/{app}/", 200, broker=other)
    host.post(f"/{app}/queues/{queue}/", 201)
    produce(project, other, "sign", queue, note, "waited")
    assert host.get(f"/{app}/queues/{queue}/")["depth"] == 1

    host.make(app, worker, queues=queue)

    eventually(lambda: lines(note) == [f"{worker} waited"])
    assert is_silent(host, worker)
    assert consumed(host, worker, other) == {f"dq.{worker}", queue}
    # Back at the branch's: a new process, which consumes there.
    assert host.post(f"/{app}/", 200, broker="")["restarting"] == [worker]
    eventually(lambda: ask_worker(host, worker, "ping", timeout_s=0), 30)
    assert consumed(host, worker, host.broker) == {f"dq.{worker}", queue}


def test_a_connection_that_the_broker_takes_for_alive(rabbitmq_url: str) -> None:
    """As one is that broke on the way: its exclusive queue is nobody else's for a while."""
    with (
        BranchHost("-i", unique("b"), broker=rabbitmq_url) as host,
        Connection(rabbitmq_url) as dead,
    ):
        host.start()
        mailbox = Queue(f"w1@{host.id}.celery.pidbox", exclusive=True, auto_delete=True)
        mailbox(dead.channel()).declare()
        host.post("/foo/", 201)
        host.make("foo", "w1")
        assert len(host.mains("w1")) == 1
