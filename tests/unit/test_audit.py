"""What is written down of a change, and what is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import pytest
from click import Choice
from flask.testing import FlaskClient

from cyme_supd.cli import fleet
from cyme_supd.domain.access import Role
from cyme_supd.domain.audit import CREATE, DELETE, EDIT, KINDS, TOKEN, USER, Actor, Query, change
from cyme_supd.domain.broker import MASK
from cyme_supd.domain.spec import App, Instance
from cyme_supd.service import Question
from cyme_supd.web.app import create_app
from cyme_supd.web.forwarding import answerer
from cyme_supd.web.settings import Settings
from tests.unit.service_support import START, World

APP = App("foo", START, broker="redis://:s3cret@mq:6379/0", environment={"KEY": "s3cret"})
INSTANCE = Instance("w1", "foo", "b1", START)


@pytest.fixture
def client(house: World) -> Iterator[FlaskClient]:
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        yield client


def events(client: FlaskClient, **wanted: Any) -> list[dict[str, Any]]:
    answer = client.get("/api/audit/", query_string=wanted)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    found: list[dict[str, Any]] = answer.get_json()["data"]["events"]
    return found


def test_what_is_the_same_is_left_out() -> None:
    noted = change(INSTANCE, replace(INSTANCE, pool="solo", generation=7))
    assert noted is not None
    assert (noted.verb, noted.before, noted.after) == (EDIT, {"pool": None}, {"pool": "solo"})
    assert change(INSTANCE, replace(INSTANCE, generation=7)) is None


def test_what_begins_and_what_ends() -> None:
    made, gone = change(None, INSTANCE), change(INSTANCE, None)
    assert made is not None
    assert gone is not None
    assert (made.verb, made.before, gone.verb, gone.after) == (CREATE, None, DELETE, None)
    asked = change(INSTANCE, replace(INSTANCE, is_deleting=True))
    assert asked is not None
    assert asked.verb == DELETE


def test_that_a_secret_changed_shows_and_nothing_of_it() -> None:
    noted = change(APP, replace(APP, environment={"KEY": "other", "B": "1"}, result_backend="x"))
    assert noted is not None
    assert noted.before == {"environment": {"KEY": MASK}, "result_backend": None}
    assert noted.after == {"environment": {"KEY": MASK, "B": MASK}, "result_backend": MASK}
    made = change(None, replace(APP, extra_config={"api_key": "s3cret"}))
    assert "s3cret" not in str(made)


def test_the_command_knows_all_kinds() -> None:
    (option,) = [each for each in fleet.audit.params if each.name == "kind"]
    assert isinstance(option.type, Choice)
    assert tuple(option.type.choices) == KINDS


def test_over_http(client: FlaskClient, house: World) -> None:
    # The house has made an app of its own before.
    client.put("/foo/instances/w1/", headers={"User-Agent": "curl/8\x01"})
    client.post("/foo/instances/w1/disable/", environ_base={"REMOTE_ADDR": "192.0.2.7"})
    edited, made = events(client, app="foo", kind="instance")
    assert (made["verb"], made["name"], made["branch"]) == ("create", "w1", "b1")
    assert (made["address"], made["agent"]) == ("127.0.0.1", "curl/8")
    assert (made["before"], made["after"]["is_enabled"]) == (None, True)
    assert edited["address"] == "192.0.2.7"
    assert (edited["before"], edited["after"]) == ({"is_enabled": True}, {"is_enabled": False})
    assert events(client, before=edited["at"], kind="instance") == [made]


def test_who_may_do_what_was_changed(client: FlaskClient, house: World) -> None:
    password, other = "correct horse", "battery staple"
    access = house.service.access
    access.put_user("alice", {"password": password})
    access.put_user("alice", {"password": other, "role": "operator"})
    made = access.add_token({"user": "alice", "app": "foo", "label": "ci"})
    access.remove_user("alice")
    tell = {each["name"]: each for each in house_events(house)}
    noted = house_events(house)
    assert [(each["verb"], each["kind"]) for each in reversed(noted)] == [
        ("create", "user"),
        ("edit", "user"),
        ("create", "token"),
        ("delete", "user"),
        ("delete", "token"),
    ]
    assert noted[3]["before"] == {"password_hash": MASK, "role": "viewer"}
    assert noted[3]["after"] == {"password_hash": MASK, "role": "operator"}
    assert tell[made.token.id]["app"] == "foo"
    for secret in (password, other, "$argon2", made.text, made.token.digest):
        assert secret not in str(noted)


def house_events(house: World) -> list[dict[str, Any]]:
    """Of users and tokens."""
    found = house.service.audit.find(Query())
    return [asdict(each) for each in found if each.kind in (USER, TOKEN)]


def test_what_is_refused_or_only_tried_is_none(client: FlaskClient) -> None:
    before = events(client)
    assert client.put("/foo/instances/w1/?dry_run=1").status_code == 200
    assert client.put("/foo/instances/w1/?pool=bogus").status_code == 400
    assert events(client) == before


def test_a_queue_that_is_emptied(client: FlaskClient, house: World) -> None:
    client.put("/foo/queues/tasks/")
    assert client.post("/foo/queues/tasks/purge/").status_code == 200
    (purged,) = [each for each in events(client) if each["verb"] == "purge"]
    assert (purged["kind"], purged["app"], purged["name"]) == ("queue", "foo", "tasks")
    assert purged["after"] == {"messages": 0}


@pytest.mark.parametrize(
    "wanted", [{"kind": "apps"}, {"since": "yesterday"}, {"limit": "0"}, {"q": "\0"}]
)
def test_what_cannot_be_looked_for(client: FlaskClient, wanted: dict[str, str]) -> None:
    assert client.get("/api/audit/", query_string=wanted).status_code == 400


def test_who_has_asked_another_branch(house: World) -> None:
    app = create_app(Settings(branch="b1"), house.service)
    boris = Actor("boris", "192.0.2.7", "curl/8")
    asked = Question(
        "PUT", "/foo/instances/w9/", "timeout=0", role=Role.ADMIN, actor=boris.as_dict()
    )
    answerer(app)(asked.as_dict(), 1.0)
    (made,) = events(app.test_client(), name="w9")
    assert (made["actor"], made["address"], made["agent"]) == ("boris", "192.0.2.7", "curl/8")


def test_the_log_names_who_has_changed_something(
    client: FlaskClient, house: World, caplog: pytest.LogCaptureFixture
) -> None:
    house.service.access.put_user("alice", {"password": "correct horse", "role": "admin"})
    caplog.set_level("INFO", "cyme_supd.web")
    client.post("/foo/instances/w1/", auth=("alice", "correct horse"))
    client.post("/foo/instances/w1/")
    assert [record.getMessage() for record in caplog.records] == [
        "b1: POST /foo/instances/w1/ -> 201 w1, by user alice",
        "b1: POST /foo/instances/w1/ -> 401",
    ]
