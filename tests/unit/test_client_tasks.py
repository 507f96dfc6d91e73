"""Queued URLs through the client, and the branch in memory that answers them."""

from __future__ import annotations

import doctest
from collections.abc import Iterator

import pytest

from cyme_supd import testing
from cyme_supd.client import Application, Client, Invalid, NotFound, Timeout
from cyme_supd.testing import branch
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import World
from tests.unit.url_support import the_one, with_a_queue

URL = "http://shop.example/a/../b"


@pytest.fixture
def house() -> World:
    return with_a_queue("a/b")


@pytest.fixture
def app(house: World) -> Iterator[Application]:
    with Client(wsgi=create_app(Settings("b1"), house.service)) as client:
        yield client.get("foo")


def test_a_request_is_queued_as_it_is_described(app: Application, house: World) -> None:
    task = app.send(URL, "a/b", "PATCH", {"n": [1, 2]}, {"name": "Ada"}, {"X-One": "1"})

    wanted = the_one(house)
    assert (wanted.method, wanted.url) == ("PATCH", f"{URL}?n=1&n=2")
    assert wanted.body == b"name=Ada"
    assert ("X-One", "1") in wanted.headers
    assert task.state == "PENDING"
    assert task.result() == {"state": "PENDING", "result": None}
    assert app.task(task.id).state == "PENDING"


@pytest.mark.parametrize("data", [b"gr\xc3\xbc\xc3\x9fe", "grüße"])
def test_text_and_bytes_go_as_they_are(data: str | bytes, app: Application, house: World) -> None:
    app.send(URL, app.queues.get("a/b"), "POST", data=data)

    assert the_one(house).body.decode() == "grüße"


def test_what_cannot_be_queued(app: Application, house: World) -> None:
    with pytest.raises(Invalid, match="UTF-8"):
        app.send(URL, "a/b", data=b"\xff")
    with pytest.raises(NotFound, match="has no queue 'other'"):
        app.send(URL, "other")
    with pytest.raises(Invalid):
        app.send("file:///etc/passwd", "a/b")
    with pytest.raises(NotFound):
        _ = app.task("00000000-0000-0000-0000-000000000000").state
    assert house.publisher.sent() == []


def test_a_task_that_does_not_end_in_time(app: Application) -> None:
    task = app.send(URL, "a/b")

    with pytest.raises(Timeout):
        task.wait(timeout=0)


def test_longer_than_a_branch_waits_it_is_asked_again(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, waits = app.send(URL, "a/b"), []

    def not_yet(path: str, **params: float) -> dict[str, object]:
        waits.append(params["timeout"])
        if len(waits) == 3:
            return {"state": "SUCCESS", "result": {}}
        raise Timeout("the task has not ended")

    monkeypatch.setattr(task._connection, "read", not_yet)
    assert task.wait(timeout=1000)["state"] == "SUCCESS"
    assert waits == [60, 60, 60]


def test_the_branch_in_memory_behaves() -> None:
    with testing.client({URL: "Hello"}) as client:
        app = client.add("foo")
        tasks, other = app.queues.add("tasks"), app.queues.add("other")
        worker = app.instances.add("w1", queues=[tasks])

        assert app.send(URL, tasks).wait()["result"]["body"] == "Hello"
        assert app.send("http://shop.example/none", tasks).wait()["result"]["status_code"] == 404
        assert app.send(URL, other).state == "PENDING"
        worker.autoscale(max=4)
        assert worker.stats()["autoscaler"]["max"] == 4
        worker.disable()
        waiting = app.send(URL, tasks)
        assert waiting.state == "PENDING"
        worker.enable()
        assert waiting.state == "SUCCESS"


def test_each_branch_in_memory_is_another() -> None:
    with testing.client() as one, testing.client(secrets=True) as other:
        one.add("foo")
        assert other.all_names() == []
        assert other.add("bar").info["broker"] == branch.BROKER


def test_its_example() -> None:
    assert doctest.testmod(branch).failed == 0
    assert doctest.testmod(branch).attempted > 0
