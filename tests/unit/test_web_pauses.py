"""Pauses, rolling restarts and purges over HTTP, in every form the contract has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cyme_supd.domain.pause import PAUSED
from cyme_supd.domain.status import Condition
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import BROKER, START, World

PLACES = {
    "/foo": "foo",
    "/foo/queues/tasks": "tasks",
    "/foo/instances/w1": "w1",
    "/foo/instance/w1": "w1",
}


@pytest.fixture
def client(house: World) -> Iterator[FlaskClient]:
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        client.put("/foo/queues/tasks/")
        assert client.put("/foo/instances/w1/", json={"queues": ["tasks"]}).status_code == 201
        yield client


def lets_go(house: World) -> None:
    condition = Condition(PAUSED, True, "AppPaused", "", START)
    house.branch.override = {"conditions": (condition,), "consuming": False}


def error(response: TestResponse) -> dict[str, str]:
    return dict(json.loads(response.get_data())["error"])


@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_pause_and_its_end(path: str, slash: str, client: FlaskClient, house: World) -> None:
    lets_go(house)
    made = client.post(f"{path}/pause{slash}", json={"reason": "deploy", "until": 3600})
    assert (made.status_code, made.get_json()) == (200, {"ok": "ok"})
    shown = client.get(f"{path}/").get_json()["pause"]
    assert (shown["reason"], shown["until"]) == ("deploy", "2026-01-02T04:04:05.120000Z")
    house.branch.override = {}
    over = client.post(f"{path}/resume{slash}")
    assert (over.status_code, over.get_json()) == (200, {"ok": "ok"})
    assert client.get(f"{path}/").get_json()["pause"] is None


@pytest.mark.parametrize("path", ["/foo/queues/!/tasks", "/foo/instances/!/w1"])
def test_at_once(path: str, client: FlaskClient) -> None:
    made = client.post(f"{path}/pause/")
    assert (made.status_code, made.get_json()["name"]) == (202, PLACES[path.replace("/!", "")])


def test_one_that_does_not_let_go_in_time(client: FlaskClient) -> None:
    late = client.post("/foo/pause/?timeout=1")
    assert (late.status_code, error(late)["code"]) == (408, "timeout")
    assert client.get("/foo/").get_json()["pause"] is not None


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ({"until": "tomorrow"}, "until"),
        ({"until": -5}, "until"),
        ({"until": "2025-01-01T00:00:00Z"}, "until"),
        ({"reasons": "x"}, "'reason'"),
        ({"timeout": 61}, "timeout"),
    ],
)
def test_what_cannot_be_a_pause(sent: dict[str, Any], named: str, client: FlaskClient) -> None:
    refused = client.post("/foo/pause/", json=sent)
    assert refused.status_code == 400
    assert named in error(refused)["message"] + error(refused)["hint"]
    assert client.get("/foo/").get_json()["pause"] is None


@pytest.mark.parametrize("path", ["/bar", "/foo/queues/none", "/foo/instances/none"])
@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_what_is_not_there(path: str, verb: str, client: FlaskClient) -> None:
    assert client.post(f"{path}/{verb}/").status_code == 404


def test_a_rolling_restart(client: FlaskClient, house: World) -> None:
    assert client.get("/foo/restart/").get_json()["number"] == 0
    begun = client.post("/foo/restart/", json={"max_unavailable": 2})
    assert begun.status_code == 202
    said = begun.get_json()
    assert (said["name"], said["state"], said["max_unavailable"]) == ("foo", "running", 2)
    assert client.get("/foo/restart/").get_json()["state"] == "running"
    aborted = client.post("/foo/restart/abort/")
    assert (aborted.status_code, aborted.get_json()["state"]) == (202, "aborted")
    assert client.get("/foo/restart/").get_json()["state"] == "aborted"
    resumed = client.post("/foo/restart/resume/")
    assert (resumed.status_code, resumed.get_json()["state"]) == (202, "running")
    refused = client.post("/foo/restart/resume/")
    assert (refused.status_code, error(refused)["code"]) == (409, "conflict")


@pytest.mark.parametrize("sent", [0, -1, "many", 1.5])
def test_how_many_at_once(sent: Any, client: FlaskClient) -> None:
    refused = client.post("/foo/restart/", json={"max_unavailable": sent})
    assert refused.status_code == 400
    assert "max_unavailable" in error(refused)["message"] + error(refused)["hint"]
    assert client.get("/foo/restart/").get_json()["number"] == 0


@pytest.mark.parametrize("path", ["/foo/queues/tasks", "/foo/queues/!/tasks"])
def test_a_purge(path: str, client: FlaskClient, house: World) -> None:
    house.broker_queues.holds(BROKER, "tasks", 3)
    refused = client.post(f"{path}/purge/", json={"expect": 2})
    assert (refused.status_code, error(refused)["code"]) == (409, "conflict")
    done = client.post(f"{path}/purge/", json={"expect": 3})
    assert (done.status_code, done.get_json()) == (200, {"purged": 3})
    assert client.post(f"{path}/purge/").get_json() == {"purged": 0}


def test_a_purge_that_cannot_be(client: FlaskClient, house: World) -> None:
    house.broker_queues.breaks(BROKER)
    assert client.post("/foo/queues/tasks/purge/").status_code == 503
    assert client.post("/foo/queues/none/purge/").status_code == 404
    assert client.post("/foo/queues/tasks/purge/?expects=1").status_code == 400
