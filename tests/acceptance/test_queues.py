"""Queues and consumers: what is declared reaches the worker, and stays with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from kombu import Connection, Exchange, Queue

from tests.acceptance.celeryside import ask_worker, queues, worker_pid
from tests.acceptance.harness import BranchHost, unique
from tests.support import eventually

pytestmark = pytest.mark.timeout(120)
APP = "house"


@pytest.fixture(scope="module")
def worker(host: BranchHost, project: Path) -> str:
    host.post(f"/{APP}/", 201, celery_app="house:app", directory=str(project))
    host.make(APP, "w1")
    return "w1"


@pytest.fixture
def queue() -> str:
    return unique("q")


@pytest.fixture(autouse=True)
def nothing_consumed(host: BranchHost, worker: str) -> Iterator[None]:
    yield
    host.post(f"/{APP}/instances/{worker}/", queues=[])
    eventually(lambda: queues(host, worker) == {f"dq.{worker}"})


def consume(host: BranchHost, worker: str, queue: str, status: int = 201) -> Any:
    return host.post(f"/{APP}/instances/{worker}/queues/{quote(queue, safe='')}/", status)


def declaration(host: BranchHost, worker: str, queue: str) -> dict[str, Any]:
    """The queue as the worker itself has it."""
    (found,) = (one for one in ask_worker(host, worker, "active_queues") if one["name"] == queue)
    return dict(found)


def test_the_seeds_own(host: BranchHost, worker: str) -> None:
    form = {"exchange": "tasks", "routing_key": "tasks"}
    made = host.client.post(f"/{APP}/queues/tasks/", data=form)
    assert made.status_code == 201
    assert host.get(f"/{APP}/queues/") == ["tasks"]

    assert consume(host, worker, "tasks") == {"ok": "ok"}
    assert queues(host, worker) == {"dq.w1", "tasks"}
    assert consume(host, worker, "tasks", 200) == {"ok": "ok"}
    (listed,) = host.get(f"/{APP}/instances/{worker}/queues/")
    assert (listed["name"], listed["exchange_type"]) == ("tasks", "direct")

    assert host.delete(f"/{APP}/instances/{worker}/queues/tasks/") == {"ok": "ok"}
    assert queues(host, worker) == {"dq.w1"}
    assert host.client.delete(f"/{APP}/queues/").status_code == 400
    assert host.delete(f"/{APP}/queues/tasks/") == {"ok": "ok"}
    assert host.get(f"/{APP}/queues/") == []


def test_options_reach_the_worker(host: BranchHost, worker: str, queue: str) -> None:
    options = {"max_priority": 9, "message_ttl": 60, "durable": True}
    host.post(f"/{APP}/queues/{queue}/", 201, options=options)
    consume(host, worker, queue)

    seen = declaration(host, worker, queue)
    assert (seen["max_priority"], seen["message_ttl"], seen["durable"]) == (9, 60, True)


def test_another_declaration_replaces_the_worker(host: BranchHost, worker: str, queue: str) -> None:
    host.post(f"/{APP}/queues/{queue}/", 201)
    consume(host, worker, queue)
    pid = worker_pid(host, worker)

    changed = host.post(f"/{APP}/queues/{queue}/", 200, exchange=f"other.{queue}")

    assert changed["restarting"] == [worker]
    eventually(lambda: declaration(host, worker, queue)["exchange"]["name"] == f"other.{queue}", 30)
    assert worker_pid(host, worker) != pid


def test_deleting_a_declaration_ends_its_consumption(
    host: BranchHost, worker: str, queue: str
) -> None:
    host.post(f"/{APP}/queues/{queue}/", 201)
    consume(host, worker, queue)

    assert host.delete(f"/{APP}/queues/{queue}/") == {"ok": "ok"}

    assert queue not in queues(host, worker)
    assert host.get(f"/{APP}/instances/{worker}/")["queues"] == []


def test_a_queue_that_the_broker_refuses_is_quarantined(
    host: BranchHost, worker: str, queue: str
) -> None:
    with Connection(host.broker) as connection:
        Queue(queue, Exchange(queue), queue)(connection.channel()).declare()
    host.post(f"/{APP}/queues/{queue}/", 201, options={"max_priority": 9})
    pid = worker_pid(host, worker)
    if host.broker.startswith("redis"):
        # It keeps no declarations, so there is none to differ from.
        consume(host, worker, queue)
        assert queue in queues(host, worker)
        return

    refused = consume(host, worker, queue, 409)

    assert "PRECONDITION_FAILED" in refused["error"]["message"]
    shown = host.get(f"/{APP}/instances/{worker}/")
    assert any(condition["type"] == "Quarantined" for condition in shown["conditions"])
    assert worker_pid(host, worker) == pid
    # It does not keep a new process from starting either.
    host.post(f"/{APP}/instances/{worker}/restart/")
    assert queues(host, worker) == {f"dq.{worker}"}


@pytest.mark.parametrize("name", ["a b", "Ωmega", "a.b.#", "50%", "a/b"])
def test_names_that_need_encoding(host: BranchHost, worker: str, name: str) -> None:
    path = f"/{APP}/queues/{quote(name, safe='')}/"
    assert host.post(path, 201)["name"] == name
    consume(host, worker, name)
    assert name in queues(host, worker)
    host.delete(path)
    assert name not in queues(host, worker)


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        ({"exchange_type": "bogus"}, "direct, topic, fanout"),
        ({"options": {"max_prio": 1}}, "max_priority"),
        ({"options": "{"}, ""),
    ],
)
def test_what_no_worker_could_declare(
    host: BranchHost, worker: str, queue: str, values: dict[str, Any], hint: str
) -> None:
    error = host.post(f"/{APP}/queues/{queue}/", 400, **values)["error"]
    assert error["code"] == "invalid"
    assert hint in error["hint"]


def test_what_is_not_there(host: BranchHost, worker: str, queue: str) -> None:
    consume(host, worker, queue, 404)
    host.delete(f"/{APP}/queues/{queue}/", 404)
    host.post(f"/{APP}/queues/{queue}/", 201)
    consume(host, "nobody", queue, 404)
    assert host.delete(f"/{APP}/instances/{worker}/queues/{queue}/") == {"ok": "ok"}
