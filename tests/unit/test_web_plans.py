"""Plans over HTTP, and ``dry_run`` on every route that changes something."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from cyme_supd.clock import isoformat
from cyme_supd.domain.access import Role, Token, User
from cyme_supd.domain.foresight import RunningTask
from cyme_supd.domain.job import Job, Run, RunStatus, run_id
from cyme_supd.domain.rollout import Rollout, RolloutState, RolloutStatus
from cyme_supd.service.passwords import hashed
from cyme_supd.web.app import create_app
from cyme_supd.web.rehearsals import is_change
from cyme_supd.web.settings import Settings
from tests.unit.queue_support import declare, start, with_an_app
from tests.unit.service_support import BROKER, START, World

SHAPE = {
    "actions", "restarting", "stopping", "turns", "tasks", "unknown", "waits_for", "observed_at",
}  # fmt: skip
#: Methods by which something is changed.
CHANGING = {"POST", "PUT", "DELETE"}
#: What these do cannot be rehearsed: they queue URLs, whose query is their own;
#: and to delete all queues is refused however it is asked.
OTHERS = {"queue_url", "queue_batch", "_refuse_all"}
#: What is done there is no plan of workers, and has dry runs of its own.
APART = ("/admin/", "/api/tasks/")
#: What to put into the routes.
PLACES = {"id": "b1", "app": "foo", "name": "w1", "instance": "w1", "queue": "tasks"}
#: From here on, in the table, there has to be a rolling restart.
RESUMING = "/<app>/restart/resume/"


@pytest.fixture
def house() -> World:
    house = with_an_app()
    declare(house)
    for name in ("w1", "w2"):
        start(house, name, queues=["tasks"])
    return house


@pytest.fixture
def app(house: World) -> Flask:
    return create_app(Settings(branch="b1"), house.service)


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    with app.test_client() as client:
        yield client


def changes(app: Flask) -> list[tuple[str, str]]:
    """Every route that changes something, from the table that is served."""
    found = []
    for rule in app.url_map.iter_rules():
        methods = sorted((rule.methods or set()) & CHANGING)
        is_apart = rule.rule.startswith(APART)
        if not is_apart and app.view_functions[rule.endpoint].__name__ not in OTHERS:
            found += [(method, rule.rule) for method in methods]
    return found


def path_of(rule: str) -> str:
    for name, value in PLACES.items():
        rule = rule.replace(f"<{name}>", value)
    assert "<" not in rule, rule
    return rule


JOB = Job("w1", "a", "@daily", START, command="true")
RUN = Run(run_id(JOB.id, START), JOB.id, JOB.category, JOB.name, START, RunStatus.RUNNING, START)
JOBS = {(method, "/api/category/<name>/") for method in ("PUT", "POST")}


def test_every_change_can_be_rehearsed(house: World, app: Flask, client: FlaskClient) -> None:
    house.branch.is_dead = True
    with house.store.writing() as tx:
        # To be edited and removed; and who asks.
        tx.save_user(User("w1", hashed("a password"), Role.ADMIN, START))
        tx.add_token(Token("b1", "", None, "", Role.VIEWER, None, START))
        tx.add_category("w1")
        tx.add_jobs([JOB])
        tx.add_runs([RUN])
    for method, rule in sorted(changes(app), key=lambda each: "/restart/" in each[1]):
        plain = rule.replace("!/", "")
        if plain == RESUMING:
            stop_a_rollout(house)
        state, at, sent = deepcopy(house.store._state), house.clock.elapsed, house.hints.sent
        force = "&force=1" if (method, plain) == ("DELETE", "/<app>/") else ""
        name = "&name=w1" if plain == "/api/users/" else ""
        jobs = "&jobs=" if (method, plain) in JOBS else ""
        path = f"{path_of(rule)}?dry_run=1{force}{name}{jobs}"
        if plain.startswith("/api/jobs/"):
            path = path.replace("/b1/", f"/{JOB.id}/")
        if plain.startswith("/api/runs/"):
            path = path.replace("/b1/", f"/{RUN.id}/") + "&keep=0" * ("prune" in plain)
        answer = client.open(path, method=method, auth=("w1", "a password"))
        assert answer.status_code == 200, (method, rule, answer.get_data())
        assert answer.get_json().keys() >= SHAPE, (method, rule)
        assert house.store._state == state, (method, rule)
        assert (house.clock.elapsed, house.hints.sent) == (at, sent), (method, rule)


def stop_a_rollout(house: World) -> None:
    """There is one then that may be resumed, and aborted."""
    with house.store.writing() as tx:
        tx.save_app(replace(tx.app("foo"), rollout=Rollout(1, 1, START)))
        tx.save_rollout(RolloutStatus("foo", "b1", 1, 1, RolloutState.STOPPED, stopped_at="w1"))


def test_the_table_has_them(app: Flask) -> None:
    rules = {rule for _, rule in changes(app)}
    assert {"/<app>/", "/instances/<name>/", "/<app>/queues/!/<queue>/purge/"} <= rules
    # A view for each rule: none is left that only looks like one.
    assert sum(map(is_change, app.view_functions.values())) >= len(rules)


@pytest.mark.parametrize(
    "path", ["/foo/?dry_run=1", "/foo/instances/w1/stats/?dry_run=1", "/foo/plan/?dry_run=1"]
)
def test_a_look_is_no_change(path: str, client: FlaskClient) -> None:
    answer = client.get(path)
    assert answer.status_code == 400
    assert "unknown parameter 'dry_run'" in answer.get_json()["error"]["message"]


@pytest.mark.parametrize("value", ["", "2", "perhaps", "-1", "1.0"])
def test_what_it_may_be(value: str, house: World, client: FlaskClient) -> None:
    for path in ("/foo/?force=1", "/foo/instances/w1/"):
        sign = "&" if "?" in path else "?"
        answer = client.delete(f"{path}{sign}dry_run={value}")
        assert answer.status_code == 400
        assert "dry_run" in answer.get_json()["error"]["message"]
    assert client.delete("/foo/instances/w1/?dry_run").status_code == 400
    assert client.delete("/foo/instances/w1/", json={"dry_run": 1}).status_code == 400
    assert house.service.instances.names("foo") == ["w1", "w2"]


@pytest.mark.parametrize("value", ["0", "false", "no"])
def test_it_may_be_no(value: str, house: World, client: FlaskClient) -> None:
    assert client.delete(f"/foo/instances/w1/?dry_run={value}").get_json() == {"ok": "ok"}
    assert house.service.instances.names("foo") == ["w2"]


@pytest.mark.parametrize("sent", [
    {"query_string": {"dry_run": "1"}}, {"data": {"dry_run": "yes"}}, {"json": {"dry_run": True}},
])  # fmt: skip
def test_it_comes_as_any_parameter(sent: dict[str, Any], house: World, client: FlaskClient) -> None:
    answer = client.post("/foo/instances/w1/disable/", **sent)
    assert answer.get_json()["stopping"] == ["w1"]
    assert house.service.instances.get("foo", "w1").instance.is_enabled


def test_what_is_answered(house: World, client: FlaskClient) -> None:
    house.questions.running = [RunningTask("w1", "id-1", "house.work", START)]
    house.questions.busy = {"w2"}
    answer = client.put("/foo/?dry_run=1", json={"arguments": "-O fair", "timeout": 5})
    reason = "what it was launched with has changed"
    assert answer.get_json() == {
        "actions": [
            {"instance": "w1", "action": "write", "reason": "drift in the launch file"},
            {"instance": "w1", "action": "restart", "reason": reason},
            {"instance": "w2", "action": "write", "reason": "drift in the launch file"},
            {"instance": "w2", "action": "restart", "reason": reason},
        ],
        "restarting": ["w1", "w2"],
        "stopping": [],
        "turns": [],
        "tasks": {
            "count": 1,
            "running": [
                {
                    "instance": "w1",
                    "id": "id-1",
                    "name": "house.work",
                    "started_at": "2026-01-02T03:04:05.000000Z",
                }
            ],
        },
        "unknown": [{"instance": "w2", "reason": "it did not answer within 0.6 s"}],
        "waits_for": None,
        "observed_at": isoformat(house.clock.now()),
    }


def test_limits_queues_and_messages(house: World, client: FlaskClient) -> None:
    scaled = client.post("/foo/instances/w1/autoscale/?dry_run=1", data={"max": "4"}).get_json()
    assert scaled["actions"][-1] == {
        "instance": "w1", "action": "autoscale", "reason": "limits differ", "max": 4, "min": 1,
    }  # fmt: skip
    dropped = client.delete("/foo/instances/w1/queues/tasks/?dry_run=1").get_json()
    assert dropped["actions"][-1]["queues"] == ["tasks"]
    assert "purged" not in dropped
    house.broker_queues.holds(BROKER, "tasks", 12)
    assert client.post("/foo/queues/tasks/purge/?dry_run=1").get_json()["purged"] == 12
    assert client.delete("/foo/queues/tasks/?purge=1&dry_run=1").get_json()["purged"] == 12
    assert "purged" not in client.delete("/foo/instances/w1/?dry_run=1").get_json()
    assert client.post("/foo/queues/tasks/purge/").get_json() == {"purged": 12}


def test_a_rolling_restart_says_the_order(client: FlaskClient) -> None:
    answer = client.post("/foo/restart/?dry_run=1").get_json()
    assert (answer["turns"], answer["restarting"]) == ([["w1"], ["w2"]], ["w1", "w2"])


def test_errors_are_those_of_the_change(client: FlaskClient) -> None:
    for path, method, status in (
        ("/foo/", "DELETE", 409),
        ("/bar/", "DELETE", 404),
        ("/foo/instances/w1/autoscale/?max=0", "POST", 400),
        ("/foo/queues/", "DELETE", 400),
        ("/foo/instances/w1/?no_such=1", "PUT", 400),
    ):
        sign = "&" if "?" in path else "?"
        rehearsed = client.open(f"{path}{sign}dry_run=1", method=method)
        assert rehearsed.status_code == status
        if "no_such" not in path and path != "/foo/queues/":
            assert rehearsed.get_json() == client.open(path, method=method).get_json()


def test_the_log_says_that_nothing_was_done(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "cyme_supd.web")
    client.delete("/foo/?force=1&dry_run=1")
    assert [each.getMessage() for each in caplog.records] == ["b1: DELETE /foo/ -> 200 dry run"]


def test_urls_keep_their_query(house: World, client: FlaskClient) -> None:
    url = "http://example.com/?dry_run=1"
    assert client.get(f"/foo/queue/tasks/{url}").status_code == 202
    assert [request.url for request in house.publisher.sent()] == [url]
    batch = client.post("/foo/queue/tasks/?dry_run=1", json=[url])
    assert batch.status_code == 400


def test_the_plan_of_an_app(house: World, client: FlaskClient) -> None:
    assert client.get("/foo/plan").get_json()["actions"] == []
    house.branch.is_dead = True
    client.post("/foo/instances/!/w1/disable/")
    plan = client.get("/foo/plan/").get_json()
    assert (plan["actions"][0]["action"], plan["stopping"]) == ("stop", ["w1"])
    assert client.get("/bar/plan/").status_code == 404
    assert client.post("/foo/plan/").status_code == 405
