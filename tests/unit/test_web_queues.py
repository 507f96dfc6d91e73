"""Queues and consumers over HTTP, in every form the contract has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cyme_supd.domain.health import QUARANTINED
from cyme_supd.domain.status import Condition
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import BROKER, KEY, START, World

TASKS = {
    "name": "tasks",
    "exchange": "tasks",
    "exchange_type": "direct",
    "routing_key": "tasks",
    "options": {},
    "created_at": "2026-01-02T03:04:05Z",
}


@pytest.fixture
def client(house: World) -> Iterator[FlaskClient]:
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        yield client


def error(response: TestResponse) -> dict[str, str]:
    found = json.loads(response.get_data())["error"]
    assert set(found) == {"code", "message", "hint"}
    return dict(found)


def consumer(client: FlaskClient, **given: Any) -> None:
    client.put("/foo/queues/tasks/")
    assert client.put("/foo/instances/w1/", json=given).status_code == 201


# Declarations


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("path", ["/foo/queues/tasks", "/foo/queues/!/tasks"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_declaring(method: str, path: str, slash: str, client: FlaskClient) -> None:
    made = client.open(path + slash, method=method)
    assert made.status_code == 201
    assert {**made.get_json(), "created_at": TASKS["created_at"]} == TASKS
    again = client.open(path + slash, method=method)
    assert (again.status_code, again.get_json()["restarting"]) == (200, [])


def test_the_forms_of_curl(client: FlaskClient) -> None:
    form = "application/x-www-form-urlencoded"
    body = "exchange=tasks&routing_key=tasks"
    made = client.post("/foo/queues/tasks", data=body, content_type=form)
    assert (made.status_code, made.get_json()["exchange"]) == (201, "tasks")
    body = 'exchange_type=topic&options={"durable": true, "max_priority": 5}'
    edited = client.post("/foo/queues/tasks?routing_key=a.b", data=body, content_type=form)
    assert (edited.status_code, edited.get_json()["exchange_type"]) == (200, "topic")
    assert edited.get_json()["options"] == {"durable": True, "max_priority": 5}
    assert edited.get_json()["routing_key"] == "a.b"
    cleared = client.post("/foo/queues/tasks", data="options=&routing_key=", content_type=form)
    assert (cleared.get_json()["options"], cleared.get_json()["routing_key"]) == ({}, "tasks")
    assert cleared.get_json()["exchange_type"] == "topic"


def test_reading(client: FlaskClient) -> None:
    for name in ("tasks", "a", "b"):
        client.put(f"/foo/queues/{name}/")
    found = client.get("/foo/queues/tasks")
    assert (found.status_code, set(found.get_json())) == (
        200,
        {*TASKS, "pause", "depth", "consumers", "oldest_s"},
    )
    assert client.get("/foo/queues").get_json() == ["a", "b", "tasks"]
    page = client.get("/foo/queues/?limit=2")
    assert (page.get_json(), 'rel="next"' in page.headers["Link"]) == (["a", "b"], True)
    assert client.get("/foo/queues/?limit=2&after=b").get_json() == ["tasks"]
    for path in ("/foo/queues/nope/", "/nope/queues/tasks/", "/nope/queues/"):
        assert client.get(path).status_code == 404
    for path in ("/foo/queues/!/", "/foo/queues/!/tasks/"):
        assert client.get(path).status_code == 501


def test_a_change_restarts_who_consumes(client: FlaskClient) -> None:
    consumer(client, queues=["tasks"])
    edited = client.put("/foo/queues/tasks/", json={"exchange": "e"})
    assert (edited.status_code, edited.get_json()["restarting"]) == (200, ["w1"])


@pytest.mark.parametrize(
    "given",
    [
        {"exchange_type": "bogus"},
        {"exchange_type": "headers"},
        {"exchange_type": 1},
        {"exchange": ["a"]},
        {"exchange": "a\u0000"},
        {"routing_key": "k" * 129},
        {"routing_key": "a\nb"},
        {"options": [1]},
        {"options": 5},
        {"options": "durable"},
        {"options": {"durable": "yes"}},
        {"options": {"durable": 1}},
        {"options": {"durable": None}},
        {"options": {"delivery_mode": 3}},
        {"options": {"expires": -1}},
        {"options": {"expires": True}},
        {"options": {"message_ttl": "5"}},
        {"options": {"max_length": 1.5}},
        {"options": {"max_priority": 256}},
        {"options": {"queue_arguments": []}},
        {"options": {"queue_arguments": {"x": 2**70}}},
        {"options": {"queue_arguments": {"x": "********"}}},
        {"options": {"queue_arguments": {"x": "a\u0000"}}},
        {"options": {"queue_arguments": {"x": "y" * 40000}}},
        {"options": {"queue_arguments": {"x": json.loads("[" * 40 + "]" * 40)}}},
        {"options": '{"expires": NaN}'},
        {"options": '{"expires": 1, "expires": 2}'},
    ],
)
def test_what_cannot_be_declared(given: dict[str, Any], client: FlaskClient) -> None:
    refused = client.put("/foo/queues/tasks/", json=given)
    assert (refused.status_code, error(refused)["code"]) == (400, "invalid")
    assert client.get("/foo/queues/").get_json() == []


def test_unknown_words_name_the_nearest(client: FlaskClient) -> None:
    refused = client.put("/foo/queues/tasks/", json={"options": {"max_prioriti": 5}})
    assert refused.status_code == 400
    assert "'max_priority'" in error(refused)["hint"]
    refused = client.put("/foo/queues/tasks/", data={"exchnge": "e"})
    assert refused.status_code == 400
    assert "'exchange'" in error(refused)["hint"]


# Names in paths


@pytest.mark.parametrize(
    ("segment", "name"),
    [
        ("a%2Fb", "a/b"),
        ("a%2fb%2F", "a/b/"),
        ("%2F", "/"),
        ("a%252Fb", "a%2Fb"),
        ("100%25", "100%"),
        ("%2525", "%25"),
        ("%21", "!"),
        ("a!b", "a!b"),
        ("%C3%A9%20x", "é x"),
        ("a.b-c_d", "a.b-c_d"),
        ("a%3Fb%23c", "a?b#c"),
        ("!%2Ftasks", "!/tasks"),
        ("queues", "queues"),
    ],
)
def test_any_character_in_a_name(segment: str, name: str, client: FlaskClient) -> None:
    for path in (f"/foo/queues/{segment}/", f"/foo/queues/{segment}", f"/foo/queues/!/{segment}/"):
        made = client.put(path + "?exchange=e")
        assert (made.status_code, made.get_json()["name"]) in ((201, name), (200, name))
    assert client.get("/foo/queues/").get_json() == [name]
    assert client.get(f"/foo/queues/{segment}").get_json()["name"] == name
    client.put("/foo/instances/w1/")
    assert client.put(f"/foo/instances/w1/queues/{segment}/").status_code == 201
    assert client.get("/foo/instances/w1/").get_json()["queues"] == [name]
    assert client.delete(f"/foo/instance/w1/queues/{segment}").status_code == 200
    assert client.delete(f"/foo/queues/{segment}/").status_code == 200
    assert client.get("/foo/queues/").get_json() == []


@pytest.mark.parametrize(
    "segment", ["dq.w1", "a%0Ab", "%00", "%FF", "q" * 129, "%C3%A9" * 129, "%E2%80%A8"]
)
def test_names_that_are_none(segment: str, client: FlaskClient) -> None:
    client.put("/foo/instances/w1/")
    for path in (f"/foo/queues/{segment}/", f"/foo/instances/w1/queues/{segment}/"):
        for method in ("PUT", "DELETE"):
            refused = client.open(path, method=method)
            assert (refused.status_code, error(refused)["code"]) == (400, "invalid")
    assert client.get("/foo/queues/").get_json() == []


def test_a_server_that_tells_no_raw_path(client: FlaskClient) -> None:
    made = client.put(
        "/foo/queues/100%25/", environ_overrides={"RAW_URI": "/prefix/foo/queues/100%25/"}
    )
    assert (made.status_code, made.get_json()["name"]) == (201, "100%")


# Forgetting


def test_forgetting(client: FlaskClient) -> None:
    consumer(client, queues=["tasks"])
    gone = client.delete("/foo/queues/tasks")
    assert (gone.status_code, gone.get_json()) == (200, {"ok": "ok"})
    assert client.get("/foo/instances/w1/").get_json()["queues"] == []
    assert client.delete("/foo/queues/tasks/").status_code == 404


def test_forgetting_without_waiting(client: FlaskClient) -> None:
    consumer(client, queues=["tasks"])
    gone = client.delete("/foo/queues/!/tasks/")
    assert (gone.status_code, gone.get_json()) == (202, {"name": "tasks"})
    assert client.get("/foo/queues/").get_json() == []


def test_forgetting_in_time(client: FlaskClient, house: World) -> None:
    consumer(client, queues=["tasks"])
    house.branch.override = {"queues": ("tasks",)}
    late = client.delete("/foo/queues/tasks/?timeout=1")
    assert (late.status_code, error(late)["code"]) == (408, "timeout")


@pytest.mark.parametrize("path", ["/foo/queues/", "/foo/queues", "/foo/queues/!/"])
def test_forgetting_all_is_refused(path: str, client: FlaskClient) -> None:
    client.put("/foo/queues/tasks/")
    refused = client.delete(path)
    assert refused.status_code == 400
    assert "/<app>/queues/<name>/" in error(refused)["hint"]
    assert client.get("/foo/queues/").get_json() == ["tasks"]


# What the broker tells


def test_depth_and_consumers(client: FlaskClient, house: World) -> None:
    client.put("/foo/queues/tasks/")
    house.broker_queues.holds(BROKER, "tasks", 3, 2)
    found = client.get("/foo/queues/tasks/").get_json()
    assert (found["depth"], found["consumers"]) == (3, 2)
    house.broker_queues.holds(BROKER, "tasks", 0, None)
    found = client.get("/foo/queues/tasks/").get_json()
    assert (found["depth"], found["consumers"]) == (0, None)
    house.broker_queues.breaks(BROKER)
    found = client.get("/foo/queues/tasks/")
    assert (found.status_code, found.get_json()["depth"]) == (200, None)
    assert found.get_json()["consumers"] is None


@pytest.mark.parametrize("path", ["/foo/queues/tasks", "/foo/queues/!/tasks/"])
def test_forgetting_and_emptying(path: str, client: FlaskClient, house: World) -> None:
    client.put("/foo/queues/tasks/")
    house.broker_queues.holds(BROKER, "tasks", 3)
    house.broker_queues.breaks(BROKER)
    refused = client.delete(path, json={"purge": True})
    assert (refused.status_code, error(refused)["code"]) == (503, "unavailable")
    assert client.get("/foo/queues/").get_json() == ["tasks"]
    house.broker_queues.mends(BROKER)
    gone = client.delete(path + "?purge=1")
    assert (gone.status_code, gone.get_json()) == (200, {"ok": "ok"})
    assert house.broker_queues.purge(BROKER, "tasks") == 0
    misspelt = client.delete("/foo/queues/tasks/?purg=1")
    assert (misspelt.status_code, "'purge'" in error(misspelt)["hint"]) == (400, True)


# Consumers


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("noun", ["instance", "instances"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_consuming(method: str, noun: str, slash: str, client: FlaskClient) -> None:
    consumer(client)
    path = f"/foo/{noun}/w1/queues"
    assert client.get(path + slash).get_json() == []
    for status in (201, 200):
        answer = client.open(f"{path}/tasks{slash}", method=method)
        assert (answer.status_code, answer.get_json()) == (status, {"ok": "ok"})
    found = client.get(path + slash).get_json()
    assert [{**one, "created_at": TASKS["created_at"]} for one in found] == [TASKS]
    for _ in range(2):
        answer = client.delete(f"{path}/tasks{slash}")
        assert (answer.status_code, answer.get_json()) == (200, {"ok": "ok"})
    assert client.get(path + slash).get_json() == []


@pytest.mark.parametrize("noun", ["instance", "instances"])
def test_consuming_without_waiting(noun: str, client: FlaskClient, house: World) -> None:
    consumer(client)
    path = f"/foo/{noun}/!/w1/queues/tasks"
    at = house.clock.elapsed
    for method in ("PUT", "POST", "DELETE"):
        answer = client.open(path, method=method)
        assert (answer.status_code, answer.get_json()) == (202, {"name": "tasks"})
        is_wished = client.get("/foo/instances/w1/").get_json()["queues"] == ["tasks"]
        assert is_wished == (method != "DELETE")
        if method == "POST":
            house.clock.sleep(1)
            at = house.clock.elapsed
    assert house.clock.elapsed == at
    assert client.get(f"/foo/{noun}/!/w1/queues/").status_code == 501


def test_nobody_and_nothing_to_consume(client: FlaskClient) -> None:
    consumer(client)
    for path in ("/foo/instances/w2/queues/tasks/", "/foo/instances/w1/queues/nope/"):
        for method in ("PUT", "POST", "DELETE"):
            assert client.open(path, method=method).status_code == 404
    assert client.get("/foo/instances/w2/queues/").status_code == 404
    refused = client.put("/foo/instances/w1/queues/tasks/", data={"timeot": "1"})
    assert (refused.status_code, "'timeout'" in error(refused)["hint"]) == (400, True)


def test_a_queue_that_the_broker_refuses(client: FlaskClient, house: World) -> None:
    consumer(client)
    condition = Condition(QUARANTINED, True, "QueueRefused", "tasks: inequivalent arg", START)
    house.branch.override = {"queues": (), "conditions": (condition,)}
    refused = client.put("/foo/instances/w1/queues/tasks/")
    assert (refused.status_code, error(refused)["code"]) == (409, "conflict")
    assert "inequivalent arg" in error(refused)["message"]
    assert client.get("/foo/instances/w1/").get_json()["queues"] == ["tasks"]


def test_a_broker_that_is_down(client: FlaskClient, house: World) -> None:
    consumer(client)
    house.branch.health = {"brokers": {KEY: {"ok": False, "reason": "refused", "url": "x"}}}
    house.branch.override = {"ready": None, "queues": None}
    answer = client.put("/foo/instances/w1/queues/tasks/")
    body = answer.get_json()
    assert (answer.status_code, body["name"], body["converged"]) == (202, "tasks", False)
    assert "refused" in body["reason"]
    assert client.put("/foo/queues/other/").status_code == 201


def test_the_last_observation_says_when(client: FlaskClient, house: World) -> None:
    consumer(client, queues=["tasks"])
    assert "observed_at" not in client.get("/foo/instances/w1/queues/").get_json()[0]
    house.branch.override = {"ready": None}
    house.clock.sleep(1)
    found = client.get("/foo/instances/w1/queues/").get_json()
    assert found[0]["name"] == "tasks"
    assert found[0]["observed_at"].endswith("Z")
