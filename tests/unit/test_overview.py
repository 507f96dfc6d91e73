"""Who needs somebody first, and all of it over HTTP."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cyme_supd.domain.attention import CHANGING, HELD, ILL, OFF, UNKNOWN, WELL, attention, worst
from cyme_supd.domain.status import Condition, ProcessState, Status
from cyme_supd.service.overview import GOOD_S
from cyme_supd.web import gathering
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import World

AT = datetime(2011, 8, 15, tzinfo=UTC)
UP = Status("w1", 1, ProcessState.RUNNING, 7, True, True)


def with_one(type: str, status: bool | None, reason: str = "", **changes: object) -> Status:
    conditions = (Condition(type, status, reason, "", AT),)
    return replace(UP, conditions=conditions, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("is_enabled", "status", "level"),
    [
        (True, UP, WELL),
        (True, None, UNKNOWN),
        (False, None, OFF),
        (False, with_one("Ready", False, "Disabled", ready=False), OFF),
        (True, replace(UP, state=None, pid=None, ready=None, consuming=None), UNKNOWN),
        (True, with_one("Ready", None, "Silent", ready=None), UNKNOWN),
        (True, with_one("Ready", False, "Starting", ready=False), CHANGING),
        (True, with_one("Ready", False, "Backoff", ready=False), ILL),
        (True, with_one("CrashLooping", True), ILL),
        (True, with_one("CrashLooping", False), WELL),
        (True, with_one("Quarantined", True), ILL),
        (True, with_one("Consuming", False), ILL),
        (True, with_one("Progressing", False), ILL),
        (True, with_one("Paused", True, "AppPaused"), HELD),
    ],
)
def test_who_needs_somebody(is_enabled: bool, status: Status | None, level: str) -> None:
    assert attention(is_enabled, status).level == level


def test_who_is_paused_is_not_to_consume() -> None:
    paused = (Condition("Paused", True, "", "", AT), Condition("Consuming", False, "", "", AT))
    assert attention(True, replace(UP, conditions=paused)).level == HELD
    crashing = (*paused, Condition("CrashLooping", True, "", "", AT))
    assert attention(True, replace(UP, conditions=crashing)).level == ILL


def test_the_worst_of_many() -> None:
    assert worst([OFF, WELL, UNKNOWN]) == UNKNOWN
    assert worst([]) == WELL


def test_over_http(house: World) -> None:
    client = create_app(Settings(branch="b1"), house.service).test_client()
    client.put("/foo/queues/tasks/")
    client.put("/foo/instances/w1/", json={"queues": ["tasks"]})
    client.put("/foo/instances/w0/")
    client.post("/foo/instances/w0/disable/")
    found = client.get("/api/overview/").get_json()["data"]
    assert [each["name"] for each in found["apps"]] == ["foo"]
    assert [(each["app"], each["name"]) for each in found["queues"]] == [("foo", "tasks")]
    levels = [(each["name"], each["level"]) for each in found["instances"]]
    assert levels == [("w1", "well"), ("w0", "off")]
    assert found["instances"][0]["queues"] == ["tasks"]


def test_of_many_branches() -> None:
    ill, well = ({"name": name, "level": level} for name, level in (("b", "ill"), ("a", "well")))
    queue = {"app": "foo", "name": "tasks", "depth": None, "oldest_s": 2.0}
    here = {"data": {"apps": [1], "queues": [queue], "instances": [well]}}
    there = {"data": {"apps": [], "queues": [{**queue, "depth": 7.0}], "instances": [ill]}}
    found = gathering.overview(here, {"b2": there}, {})
    queues = [{**queue, "depth": 7.0}]
    assert found == {"data": {"apps": [1], "queues": queues, "instances": [ill, well]}}


def test_who_asks_at_once_is_shown_the_same(house: World) -> None:
    house.clock.listeners.clear()
    house.service.apps.put("foo", {})
    first = house.service.overviews.get()
    assert house.service.overviews.get() is first
    house.clock.sleep(GOOD_S)
    second = house.service.overviews.get()
    assert second is not first
    house.service.apps.put("bar", {})
    assert [each.name for each in house.service.overviews.get().apps] == ["bar", "foo"]
