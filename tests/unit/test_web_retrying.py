"""Tasks that are tracked are sent again and revoked, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from cyme_supd.domain.audit import Query
from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.ledger import observed
from cyme_supd.domain.ledgerstore import Refusal, TaskQuery, source_key
from cyme_supd.service import retrying
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import BROKER, World, declare

SOURCE = source_key(parse_broker(BROKER).key, "platform.fifo")
MESSAGE = json.dumps(
    {
        "headers": {"task": "mail.send"},
        "body": '[["ann"], {}, {}]',
        "encoding": "utf-8",
        "routing_key": "mail",
    }
)


@pytest.fixture
def client(house: World) -> Iterator[FlaskClient]:
    declare(house, "mail")
    house.service.apps.put("foo", {"is_tracked": True})
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        yield client


@pytest.fixture(autouse=True)
def tasks(house: World) -> None:
    fail(house, "t1", "t2")
    with house.store.recording() as tx:
        tx.observe(SOURCE, [observed("t3", 3.0, "STARTED", 0, name="mail.send")])
        tx.observe("other", [observed("t4", 4.0, "FAILURE", 0, name="mail.send", error="E()")])


def fail(house: World, *ids: str, message: str | None = MESSAGE) -> None:
    facts = {"name": "mail.send", "error": "E('x')", "routing_key": "mail"}
    with house.store.recording() as tx:
        failed = [observed(id, at, "FAILURE", 0, **facts) for at, id in enumerate(ids, 1)]
        tx.observe(SOURCE, failed, dict.fromkeys(ids, message) if message else {})


def ask(client: FlaskClient, path: str, status: int = 200, **sent: Any) -> Any:
    answer = client.post(f"/api/tasks/{path}", json=sent)
    assert answer.status_code == status, answer.get_json()
    told = answer.get_json()
    return told["data"] if status < 300 else told["error"]


def states(house: World) -> dict[str, str]:
    with house.store.reading() as view:
        return {each.record.id: each.record.state for each in view.tracked(TaskQuery()).tasks}


def test_one_is_sent_again(client: FlaskClient, house: World) -> None:
    assert ask(client, "t1/retry/", dry_run=True)["task"] == {"id": None, "retry_of": "t1"}
    assert house.task_broker.sent == []
    new = ask(client, "t1/retry/", 201)["task"]
    assert new["retry_of"] == "t1"
    (letter,) = house.task_broker.sent
    assert (letter.id, letter.of, letter.routing_key) == (new["id"], "t1", "mail")
    assert states(house)[new["id"]] == "SENT"
    found = client.get(f"/api/tasks/{new['id']}/").get_json()["data"]["task"]
    assert (found["parent"], found["retry_of"], found["name"]) == ("t1", "t1", "mail.send")
    first = client.get("/api/tasks/t1/").get_json()["data"]["task"]
    assert [each["id"] for each in first["children"]] == [new["id"]]


def test_a_second_click_sends_nothing(client: FlaskClient, house: World) -> None:
    new = ask(client, "t1/retry/", 201)["task"]["id"]
    refused = ask(client, "t1/retry/", 409)
    assert new in refused["message"]
    assert "force=1" in refused["hint"]
    assert len(house.task_broker.sent) == 1
    ask(client, "t1/retry/", 201, force=True)
    assert len(house.task_broker.sent) == 2


@pytest.mark.parametrize(
    ("id", "status", "word"),
    [("t3", 409, "has not ended"), ("t4", 409, "no application"), ("none", 404, "no task")],
)
def test_what_is_not_sent_again(client: FlaskClient, id: str, status: int, word: str) -> None:
    assert word in ask(client, f"{id}/retry/", status)["message"]


def test_what_was_not_kept(client: FlaskClient, house: World) -> None:
    fail(house, "hidden", message=None)
    assert "were not kept" in ask(client, "hidden/retry/", 409)["message"]


def test_a_broker_that_is_away(client: FlaskClient, house: World) -> None:
    house.task_broker.takes = 0
    ask(client, "t1/retry/", 503)
    assert sorted(states(house).values()) == ["FAILURE"] * 3 + ["REJECTED", "STARTED"]
    house.task_broker.takes = None
    ask(client, "t1/retry/", 201)


def test_all_that_match(client: FlaskClient, house: World) -> None:
    fail(house, "hidden", message=None)
    wanted: dict[str, Any] = {"state": "FAILURE", "error": "E"}
    told = {"matched": 4, "sent": 2, "left_out": {"not kept": 1, "no app": 1}, "after": None}
    assert ask(client, "retry/", dry_run=True, **wanted) == {**told, "ids": []}
    assert house.task_broker.sent == []
    done = ask(client, "retry/", **wanted)
    assert {**told, "ids": done["ids"]} == done
    assert [each.id for each in house.task_broker.sent] == done["ids"]
    again = ask(client, "retry/", **wanted)
    assert (again["sent"], again["left_out"]) == (0, {"retried": 2, "not kept": 1, "no app": 1})


def test_of_one_application_by_its_query(client: FlaskClient, house: World) -> None:
    answer = client.post("/api/tasks/retry/?app=foo&state=FAILURE&dry_run=1")
    assert answer.get_json()["data"]["matched"] == 2
    assert house.task_broker.sent == []


def test_many_are_not_sent_by_mistake(client: FlaskClient) -> None:
    assert "say which" in ask(client, "retry/", 400)["hint"]
    ask(client, "retry/", 400, app="foo")
    ask(client, "retry/", 400, state="GONE")


def test_a_request_does_so_many(
    client: FlaskClient, house: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "AT_ONCE", 3)
    monkeypatch.setattr(retrying, "MOST", 6)
    fail(house, *(f"many{n}" for n in range(10)))
    sent, after = 0, None
    for _ in range(4):
        place: dict[str, Any] = {"after": after} if after else {}
        done = ask(client, "retry/", name="mail.send", app="foo", state="FAILURE", **place)
        assert done["matched"] <= 6
        sent, after = sent + done["sent"], done["after"]
        if after is None:
            break
    assert (sent, len({each.of for each in house.task_broker.sent})) == (12, 12)


def test_a_broker_that_goes_away_in_the_middle(
    client: FlaskClient, house: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "AT_ONCE", 4)
    fail(house, *(f"many{n}" for n in range(10)))
    house.task_broker.takes = 6
    first = ask(client, "retry/", app="foo", state="FAILURE")
    assert (first["sent"], first["left_out"]) == (6, {"not sent": 2})
    house.task_broker.takes = None
    rest = ask(client, "retry/", app="foo", state="FAILURE", after=first["after"])
    assert (rest["sent"], rest["left_out"], rest["after"]) == (6, {"retried": 2}, None)
    assert len({each.of for each in house.task_broker.sent}) == 12


def test_one_is_revoked(client: FlaskClient, house: World) -> None:
    assert ask(client, "t3/revoke/", dry_run=True)["task"] == {"id": "t3", "state": "STARTED"}
    assert house.task_broker.revoked == []
    assert ask(client, "t3/revoke/", 202)["task"] == {"id": "t3", "state": "STARTED"}
    ask(client, "t3/revoke/", 202, terminate=True)
    assert house.task_broker.revoked == [("t3", False), ("t3", True)]
    assert "has ended" in ask(client, "t1/revoke/", 409)["message"]
    house.task_broker.takes = 0
    ask(client, "t3/revoke/", 503)


def test_it_is_written_down_who_did_that(client: FlaskClient, house: World) -> None:
    new = ask(client, "t1/retry/", 201)["task"]["id"]
    ask(client, "retry/", state="FAILURE", app="foo")
    ask(client, "t3/revoke/", 202, terminate=True)
    with house.store.reading() as view:
        found = view.audit(Query(kind="task"))
    assert [(each.verb, each.name, each.after) for each in found] == [
        ("edit", "t3", {"state": "revoking", "terminate": True}),
        ("create", "", {"tasks": 1, "state": "FAILURE"}),
        ("create", new, {"retry_of": "t1"}),
    ]


def test_all_of_them_line_by_line(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cyme_supd.web.tracking.EXPORTED_AT_ONCE", 1)
    answer = client.get("/api/tasks/export/?name=mail.send")
    assert answer.mimetype == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.get_data(as_text=True).splitlines()]
    assert [each["id"] for each in lines] == ["t4", "t3", "t2", "t1"]
    assert set(lines[0]) >= {"state", "states", "args", "traceback"}
    assert client.get("/api/tasks/export/?state=GONE").status_code == 400


def test_by_exception(client: FlaskClient) -> None:
    (group,) = client.get("/api/tasks/errors/").get_json()["data"]["errors"]
    assert (group["error"], group["count"], group["last"]) == ("E", 3, "t4")
    (group,) = client.get("/api/tasks/errors/?app=foo").get_json()["data"]["errors"]
    assert (group["count"], group["last"]) == (2, "t2")


def test_what_was_refused(client: FlaskClient, house: World) -> None:
    refusal = Refusal(SOURCE, 5.0, "content type", "pickle", "application/x", "{}", b"s3cret\xff")
    with house.store.recording() as tx:
        tx.refuse([refusal])
    (told,) = client.get("/api/tasks/refusals/?app=foo").get_json()["data"]["refusals"]
    assert (told["reason"], told["detail"], told["body"]) == ("content type", "pickle", "********")
    (told,) = client.get("/api/tasks/refusals/?secrets=1").get_json()["data"]["refusals"]
    assert told["body"] == "s3cret\ufffd"


@pytest.mark.parametrize("empty", [{"name": ""}, {"state": "", "q": "", "since": "", "until": ""}])
def test_a_filter_that_is_left_empty_leaves_nobody_out(
    client: FlaskClient, empty: dict[str, str]
) -> None:
    answer = client.post("/api/tasks/retry/", data=empty)
    assert answer.status_code == 400, answer.get_json()
    ask(client, "retry/", 400, **empty)
