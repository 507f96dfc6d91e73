"""What an instance does, and what was, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from cyme_supd.clock import isoformat
from cyme_supd.domain.foresight import RunningTask
from cyme_supd.domain.metrics import MESSAGES, OLDEST, Totals
from cyme_supd.domain.samples import COLUMNS, Point, Sample, moment
from cyme_supd.domain.status import ProcessState
from cyme_supd.domain.transitions import Transition
from cyme_supd.service.overview import GOOD_S
from cyme_supd.web import gathering
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import BROKER, START, World, declare, put


@pytest.fixture
def client(house: World) -> Iterator[FlaskClient]:
    declare(house, "tasks")
    put(house, queues=["tasks"])
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        yield client


def keep(house: World, *seconds: float) -> None:
    for each in seconds:
        at = moment(house.clock.now()) + timedelta(seconds=each)
        point = Point(depth=each + 600, begun=2 * each, running=1)
        sample = Sample(at, "foo", point, {"tasks": Point(depth=9)}, {"w1": Point(running=2)})
        with house.store.writing() as tx:
            tx.save_samples("b1", [sample])


def samples(client: FlaskClient, **query: Any) -> dict[str, list[float | None]]:
    answer = client.get("/api/samples/", query_string=query)
    assert answer.status_code == 200, answer.get_json()
    found: dict[str, list[float | None]] = answer.get_json()["data"]
    assert {len(each) for each in found.values()} == {len(found["at"])}
    return found


def test_samples_of_an_app_a_queue_and_an_instance(client: FlaskClient, house: World) -> None:
    keep(house, -600, -300, 0)
    found = samples(client, app="foo")
    assert (found["depth"], found["per_s"]) == ([0, 300, 600], [None, 2.0, 2.0])
    assert samples(client, app="foo", queue="tasks")["depth"] == [9] * 3
    assert samples(client, app="foo", instance="w1")["running"] == [2] * 3
    assert samples(client) == {"at": [], **{name: [] for name in COLUMNS}}


def test_the_first_rate_is_known_where_there_was_a_sample_before(
    client: FlaskClient, house: World
) -> None:
    keep(house, -600, -300, 0)
    since = isoformat(moment(house.clock.now()) - timedelta(seconds=300))
    assert samples(client, app="foo", since=since)["per_s"] == [2.0, 2.0]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"app": "bar"}, 404),
        ({"queue": "tasks"}, 400),
        ({"instance": "w1"}, 400),
        ({"app": "foo", "queue": "tasks", "instance": "w1"}, 400),
        ({"since": "lately"}, 400),
        ({"since": "0001-01-01T00:00:00Z"}, 200),
        ({"step": "1"}, 400),
    ],
)
def test_what_may_be_asked(client: FlaskClient, query: dict[str, str], status: int) -> None:
    assert client.get("/api/samples/", query_string=query).status_code == status


def test_of_many_branches() -> None:
    def said(running: int) -> dict[str, Any]:
        return {"data": {"at": [60.0], **{name: [None] for name in COLUMNS}, "running": [running]}}

    found = gathering.samples(said(1), {"b2": said(2)}, {})
    assert found["data"]["running"] == [3]


def test_of_many_branches_that_share_a_store(client: FlaskClient, house: World) -> None:
    at = moment(house.clock.now())
    with house.store.writing() as tx:
        for branch, running in (("b1", 1), ("b2", 2)):
            point = Point(depth=running, running=running)
            tx.save_samples(branch, [Sample(at, "foo", point)])
    found = samples(client, app="foo")
    assert (found["running"], found["depth"]) == ([3], [2])


def test_how_its_state_changed(client: FlaskClient, house: World) -> None:
    changes = [
        Transition("w1", START + timedelta(seconds=n), ProcessState.RUNNING, None, False, "Why")
        for n in range(3)
    ]
    with house.store.writing() as tx:
        tx.save_transitions(changes)
    answer = client.get("/foo/instances/w1/history/?limit=2")
    found = answer.get_json()["data"]["changes"]
    assert [each["at"] for each in found] == [isoformat(each.at) for each in changes[:0:-1]]
    told = {"state": "RUNNING", "ready": None, "consuming": False, "reason": "Why"}
    assert found[0] == {"at": isoformat(changes[2].at), **told}
    assert client.get("/foo/instances/w2/history/").status_code == 404


def test_what_it_runs_now_the_longest_first(client: FlaskClient, house: World) -> None:
    later = START + timedelta(seconds=5)
    house.questions.running = [
        RunningTask("w1", "c", "a.task"),
        RunningTask("w1", "b", "a.task", later),
        RunningTask("w1", "a", "a.task", START),
    ]
    found = client.get("/foo/instances/w1/tasks/").get_json()["data"]["tasks"]
    assert [each["id"] for each in found] == ["a", "b", "c"]
    assert found[0] == {
        "instance": "w1",
        "id": "a",
        "name": "a.task",
        "started_at": isoformat(START),
    }


def test_one_that_is_silent_or_gone(client: FlaskClient, house: World) -> None:
    house.questions.busy = {"w1"}
    answer = client.get("/foo/instances/w1/tasks/?timeout=1")
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (503, "unavailable")
    assert client.get("/foo/instances/w2/tasks/").status_code == 404
    client.post("/foo/instances/w1/disable/")
    assert "disabled" in client.get("/foo/instances/w1/tasks/").get_json()["error"]["message"]


def test_how_long_the_oldest_message_waits(
    client: FlaskClient, house: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def oldest() -> tuple[Any, Any]:
        (queue,) = client.get("/api/overview/").get_json()["data"]["queues"]
        return client.get("/foo/queues/tasks/").get_json()["oldest_s"], queue["oldest_s"]

    house.broker_queues.holds(BROKER, "tasks", 3)
    assert oldest() == (None, None)
    labels = ("foo", "tasks")
    totals = Totals({}, {(MESSAGES.name, labels): 3.0, (OLDEST.name, labels): 7.5})
    monkeypatch.setattr(house.service.metrics, "totals", lambda: totals)
    house.clock.sleep(GOOD_S)
    assert oldest() == (7.5, 7.5)
    house.broker_queues.holds(BROKER, "tasks", 0)
    assert oldest() == (0.0, 7.5)
