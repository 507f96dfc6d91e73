"""The client over the real web application, without a socket."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from cyme_supd import testing
from cyme_supd.client import (
    Application,
    Client,
    Conflict,
    Instance,
    Invalid,
    NotFound,
    Queue,
    Unavailable,
)
from cyme_supd.client.calls import Call, Reply
from cyme_supd.domain.broker import MASK
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import BROKER, START, World

ODD_NAMES = ["a/b", "a b", "größe", "!", "..", ".", "a%2Fb", "a?b#c", "queue", "a//b/"]


@pytest.fixture
def client(house: World) -> Iterator[Client]:
    with Client("http://localhost:8000", wsgi=create_app(Settings("b1"), house.service)) as client:
        yield client


@pytest.fixture
def app(client: Client) -> Application:
    return client.get("foo")


@pytest.fixture
def unmasked(house: World) -> Iterator[Client]:
    with Client(secrets=True, wsgi=create_app(Settings("b1"), house.service)) as client:
        yield client


# Applications


def test_applications(client: Client) -> None:
    made = client.add("bar", "amqp://me:s3cret@mq.example//", "-O fair", {"task_acks_late": True})

    assert repr(made) == "<Client: 'http://localhost:8000/bar'>"
    assert made.info["broker"] == f"amqp://me:{MASK}@mq.example:5672//"
    assert made.info["arguments"] == ["-O", "fair"]
    assert made.info["extra_config"] == {"task_acks_late": True}
    assert [each.name for each in client.all()] == client.all_names() == ["bar", "foo"]
    assert client.delete("bar") is None
    assert client.all_names() == ["foo"]
    with pytest.raises(NotFound, match="there is no app 'bar'"):
        client.get("bar")


def test_an_application_that_is_there_is_edited(client: Client, app: Application) -> None:
    seen = app.info
    client.add("foo", pool="threads", directory="/srv")

    assert app.info == seen
    app.refresh()
    assert app.info == {**seen, "pool": "threads", "directory": "/srv"}


def test_secrets_are_shown_to_who_asks(client: Client, unmasked: Client) -> None:
    assert client.get("foo").info["broker"] == BROKER.replace("s3cret", MASK)
    app = unmasked.get("foo")
    assert app.info["broker"] == BROKER
    assert app.instances.add("w1").broker == BROKER
    assert unmasked.add("bar", environment={"A": "b"}).info["environment"] == {"A": "b"}


def test_all_workers_of_an_application(app: Application) -> None:
    worker = app.instances.add("w1")

    app.stop()
    assert app.instances.get("w1").info["state"] == "STOPPED"
    app.start()
    worker.refresh()
    assert (worker.is_enabled, worker.info["state"]) == (True, "RUNNING")
    assert app.restart(max_unavailable=2)["left"] == ["w1"]
    assert app.rollout()["max_unavailable"] == 2
    assert app.abort_restart()["state"] in ("aborted", "running")
    assert app.plan()["unknown"] == []
    assert app.orphans()["queues"] == []


def test_one_with_instances_is_deleted_by_force(client: Client, app: Application) -> None:
    app.instances.add("w1")

    with pytest.raises(Conflict, match="w1"):
        client.delete("foo")
    assert app.delete(force=True) is None
    assert client.all_names() == []


# Instances


def test_instances(app: Application) -> None:
    worker = app.instances.add(
        "w1", max_concurrency=3, arguments=["-O", "fair"], config={"task_acks_late": True}
    )

    assert repr(worker) == "<Instance: 'w1'>"
    assert repr(app.instances) == "[<Instance: 'w1'>]"
    assert (worker.max_concurrency, worker.min_concurrency, worker.pool) == (3, 1, "prefork")
    assert (worker.arguments, worker.extra_config) == (["-O", "fair"], {"task_acks_late": True})
    assert (worker.is_enabled, worker.queue_names, worker.queues) == (True, [], [])
    assert "w1" in app.instances
    assert worker in app.instances
    assert "w2" not in app.instances
    assert app.instances.get("w1").info["created_at"] == worker.info["created_at"]
    assert [each.name for each in app.instances.all()] == app.instances.all_names() == ["w1"]
    assert app.instances
    assert app.instances.delete("w1") is None
    assert not app.instances


def test_one_without_a_name_gets_one(app: Application) -> None:
    made = app.instances.add()

    assert len(made.name) == 36
    assert app.instances.all_names() == [made.name]
    assert made.info["ready"] is True


def test_the_limits_of_an_instance(app: Application) -> None:
    worker = app.instances.add("w1")

    assert worker.autoscale() == {"max": 1, "min": 1}
    assert worker.autoscale(max=10, min=10) == {"max": 10, "min": 10}
    assert worker.max_concurrency == 10
    assert app.instances.autoscale("w1", min=2) == {"max": 10, "min": 2}
    with pytest.raises(Invalid):
        worker.autoscale(max=0)


def test_what_a_worker_tells_of_itself(app: Application, house: World) -> None:
    worker = app.instances.add("w1")
    house.questions.answer = {"total": {"add": 3}}

    assert worker.stats()["total"] == {"add": 3}
    assert app.instances.stats("w1")["instance"]["name"] == "w1"
    assert worker.log() == "one\ntwo\n"
    assert worker.log(bytes=4) == "two\n"


def test_states_of_an_instance(app: Application) -> None:
    worker = app.instances.add("w1")

    assert worker.disable() == {"ok": "ok"}
    assert (worker.is_enabled, worker.info["state"]) == (False, "STOPPED")
    assert worker.enable() == {"ok": "ok"}
    before = worker.info["pid"]
    assert worker.restart() == {"ok": "ok"}
    assert worker.info["pid"] == before + 1


def test_pauses() -> None:
    with testing.client() as client:
        app = client.add("foo")
        check_pauses(app, datetime(2026, 1, 2, 4, tzinfo=UTC))
        assert app.pause(until=60) == {"ok": "ok"}
        assert app.pause(until="2026-01-02T04:00:00Z") == {"ok": "ok"}


def check_pauses(app: Application, until: datetime) -> None:
    worker, queue = app.instances.add("w1"), app.queues.add("tasks")

    for part in (app, worker, queue):
        assert part.pause(reason="tests", until=until) == {"ok": "ok"}
        part.refresh()
        assert part.info["pause"]["reason"] == "tests"
        assert datetime.fromisoformat(part.info["pause"]["until"]) == until
        assert part.resume() == {"ok": "ok"}
        part.refresh()
        assert part.info["pause"] is None


def test_what_is_not_waited_for_is_seen_when_it_is_looked_at(
    app: Application, house: World
) -> None:
    begun = house.clock.elapsed
    worker = app.instances.add("w1", nowait=True)
    anonymous = app.instances.add(nowait=True)

    assert house.clock.elapsed == begun
    assert worker.info["ready"] is None
    house.clock.sleep(1)
    house.clock.sleep(1)
    assert app.instances.get("w1").info["ready"] is True
    assert worker.restart(nowait=True) == {"name": "w1"}
    assert worker.delete(nowait=True) == {"name": "w1"}
    assert anonymous in app.instances
    house.clock.sleep(1)
    house.clock.sleep(1)
    assert app.instances.all_names() == [anonymous.name]


def test_what_a_branch_cannot_do_now_is_in_the_answer(app: Application, house: World) -> None:
    worker = app.instances.add("w1")
    house.branch.health = {"supervisord": {"ok": False, "reason": "it is stopping"}}
    house.branch.run()

    answer = worker.disable()
    assert answer["converged"] is False
    assert "supervisord" in answer["reason"]


# Queues and consumers


def test_queues(app: Application) -> None:
    made = app.queues.add("news", "press", "topic", "news.#", max_priority=5, durable=False)

    assert repr(made) == "<Queue: 'news'>"
    assert repr(app.queues) == "[<Queue: 'news'>]"
    assert (made.exchange, made.exchange_type, made.routing_key) == ("press", "topic", "news.#")
    assert made.options == {"max_priority": 5, "durable": False}
    assert app.queues.get("news").info["depth"] == 0
    assert app.queues.add("news", routing_key="#").exchange == "press"
    assert made.purge() == 0
    assert app.queues.all_names() == ["news"]
    assert made.delete() is None
    assert app.queues.all() == []
    with pytest.raises(NotFound):
        app.queues.delete("news")


def test_consumers(app: Application) -> None:
    worker, queue = app.instances.add("w1"), app.queues.add("tasks", exchange="x")

    assert worker.consumers.add(queue) == {"ok": "ok"}
    (consumed,) = worker.consumers
    assert (consumed["name"], consumed["exchange"], consumed["routing_key"]) == (
        "tasks",
        "x",
        "tasks",
    )
    assert repr(worker.consumers) == repr([consumed])
    assert worker.queue_names == ["tasks"]
    assert worker.queues[0].exchange == "x"
    assert worker.consumers.delete("tasks") == {"ok": "ok"}
    assert (list(worker.consumers), worker.queue_names) == ([], [])
    assert worker.consumers.add("tasks", nowait=True) == {"name": "tasks"}


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_of_a_queue(name: str, app: Application) -> None:
    worker, queue = app.instances.add("w1"), app.queues.add(name)

    assert app.queues.all_names() == [name]
    assert app.queues.get(name).name == name
    assert app.queues.add(name, nowait=True).exchange == name
    worker.consumers.add(queue)
    assert [each["name"] for each in worker.consumers] == [name]
    worker.consumers.delete(queue, nowait=True)
    queue.pause()
    assert queue.purge() == 0
    assert queue.delete() is None
    assert not app.queues


@pytest.mark.parametrize("name", ["", None, 7, "\ud800"])
def test_what_is_no_name(name: str, client: Client, app: Application) -> None:
    with pytest.raises(Invalid, match="name"):
        client.delete(name)
    with pytest.raises(Invalid, match="name"):
        app.queues.get(name)
    assert client.all_names() == ["foo"]


def test_names_come_page_by_page_and_as_far_as_they_are_taken(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"q{n}" for n in range(5)]
    for name in names:
        app.queues.add(name)
    connection, asked = app._connection, list[Call]()
    send = connection._tries.send

    def noting(call: Call) -> Reply:
        asked.append(call)
        return send(call)

    monkeypatch.setattr(connection._tries, "send", noting)

    assert list(connection.names("/foo/queues/", limit=2)) == names
    assert [one.query for one in asked] == [
        {"limit": "2"},
        {"limit": "2", "after": "q1"},
        {"limit": "2", "after": "q3"},
    ]
    asked.clear()
    assert next(connection.names("/foo/queues/", limit=2)) == "q0"
    assert len(asked) == 1
    asked.clear()
    assert [type(one) for one in app.queues] == [Queue] * 5
    assert len(asked) == 1


# Branches, and the rest


def test_branches(client: Client) -> None:
    assert client.branches == ["b1"]
    told = client.branch_info("b1")
    assert (told["id"], told["numc"], told["port"]) == ("b1", 2, 8000)
    assert client.drain("b1")["is_draining"] is True
    assert client.undrain("b1")["is_draining"] is False
    with pytest.raises(NotFound):
        client.branch_info("b7")


def test_health_is_told_also_where_it_is_bad(client: Client, house: World) -> None:
    assert client.ping() == {"ok": "pong"}
    assert client.health()["ok"] is True
    house.store.failure = Unavailable("gone")
    assert client.health()["ok"] is False


def test_any_route(client: Client) -> None:
    assert client.request("GET", "/") == ["foo"]
    made = client.request("put", "/foo/instances/w1/", max_concurrency=2, branch=None)
    assert made["max_concurrency"] == 2
    plan = client.request("DELETE", "/foo/instances/w1/", dry_run=True)
    assert plan["stopping"] == ["w1"]
    assert client.request("GET", "/foo/instances/") == ["w1"]


def test_what_is_refused_is_raised_as_it_was(client: Client, app: Application) -> None:
    with pytest.raises(Invalid) as refused:
        app.instances.add("w1", max_conurrency=3)
    assert refused.value.code == "invalid"
    assert refused.value.message == "unknown parameter 'max_conurrency'"
    assert refused.value.hint == "did you mean 'max_concurrency'?"
    for word in ("path", "params", "method", "is_repeatable"):
        more: dict[str, Any] = {word: "x"}
        with pytest.raises(Invalid, match=f"unknown parameter '{word}'"):
            client.add("bar", **more)
        with pytest.raises(Invalid, match=f"unknown parameter '{word}'"):
            app.instances.add(**more)
    with pytest.raises(Invalid, match="say one of them"):
        app.instances.add("w1", config={}, extra_config={})
    with pytest.raises(Invalid, match="JSON"):
        app.instances.add("w1", extra_config={"a": object()})
    assert str(START.year) in client.get("foo").info["created_at"]
    assert isinstance(app.instances.add("w1"), Instance)
