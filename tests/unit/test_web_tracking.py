"""The record of tasks, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.ledger import observed
from cyme_supd.domain.ledgerstore import EVENTS, NEVER_RECEIVED, Gap, Source, source_key
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.fleet_support import ok, three_places
from tests.unit.service_support import BROKER, World, declare, put
from tests.unit.whole_support import JOB, RUN

SOURCE = source_key(parse_broker(BROKER).key, "platform.fifo")


@pytest.fixture
def client(house: World) -> Iterator[FlaskClient]:
    declare(house, "mail")
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        yield client


@pytest.fixture(autouse=True)
def tasks(house: World) -> None:
    facts = {"routing_key": "mail", "args": "('ann',)", "root": "t1"}
    with house.store.recording() as tx:
        tx.observe(
            SOURCE,
            [
                observed("t1", 10.0, "SENT", 1, name="mail.send", retries=1, **facts),
                observed("t2", 20.0, "SENT", 0, name="mail.note", parent="t1", **facts),
                observed("a/b", 5.0, "SENT", 0, name="odd"),
            ],
        )
        tx.observe(SOURCE, [observed("t1", 12.5, "FAILURE", 1, worker="w1@b1", error="E('x')")])
        tx.observe("other", [observed("t3", 30.0, "SENT")])
        (lost,) = tx.tracked_with("t2")
        tx.mark_lost([lost.number], NEVER_RECEIVED)
        tx.add_gap(Gap(SOURCE, EVENTS, 1.0, 2.0, "away"))


def found(client: FlaskClient, **query: Any) -> dict[str, Any]:
    answer = client.get("/api/tasks/", query_string=query)
    assert answer.status_code == 200, answer.get_json()
    told: dict[str, Any] = answer.get_json()
    return told


def ids(told: dict[str, Any]) -> list[str]:
    return [each["id"] for each in told["data"]["tasks"]]


def test_tasks_by_what_is_asked_for(client: FlaskClient) -> None:
    assert ids(found(client)) == ["t3", "t2", "t1", "a/b"]
    assert ids(found(client, app="foo")) == ["t2", "t1", "a/b"]
    assert ids(found(client, state="FAILURE", worker="w1@b1", error="E")) == ["t1"]
    assert ids(found(client, state="LOST")) == ["t2"]
    assert ids(found(client, q="ann", name="mail.note", queue="mail")) == ["t2"]
    assert ids(found(client, since="1970-01-01T00:00:10Z", until="1970-01-01T00:00:20Z")) == ["t1"]


def test_gaps_are_told_where_they_matter(client: FlaskClient) -> None:
    (gap,) = found(client)["gaps"]
    assert (gap["what"], gap["since"], gap["reason"]) == (
        "events",
        "1970-01-01T00:00:01.000000Z",
        "away",
    )
    assert found(client, since="1970-01-01T00:00:10Z")["gaps"] == []


def test_pages(client: FlaskClient) -> None:
    first = found(client, per_page=3)
    assert ids(first) == ["t3", "t2", "t1"]
    last = found(client, per_page=3, after=first["after"])
    assert (ids(last), last["after"]) == (["a/b"], None)


def test_one_with_its_children(client: FlaskClient) -> None:
    task = client.get("/api/tasks/t1/").get_json()["data"]["task"]
    assert (task["state"], task["error"], task["retries"], task["root"]) == (
        "FAILURE",
        "E('x')",
        1,
        "t1",
    )
    assert task["states"]["FAILURE"]["first"] == "1970-01-01T00:00:12.500000Z"
    assert [each["id"] for each in task["children"]] == ["t2"]
    answer = client.get("/api/tasks/none/")
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (404, "not_found")


def test_from_one_to_its_instance_log_and_run(client: FlaskClient, house: World) -> None:
    def places(id: str) -> tuple[Any, Any, Any]:
        task = client.get(f"/api/tasks/{id}/").get_json()["data"]["task"]
        return task["instance"], task["log"], task["run"]

    # There was a worker of that name, and there is no such instance.
    assert places("t1") == (None, None, None)
    put(house, "w1")
    instance, log, _ = places("t1")
    assert instance == {"app": "foo", "name": "w1"}
    house.logs.content = b"[t2] received\n[t1] received\n"
    assert client.get(log).get_data() == b"[t1] received\n"
    with house.store.recording() as tx:
        tx.observe(SOURCE, [observed(RUN.id, 1.0, "STARTED", worker="w1@elsewhere")])
    with house.store.writing() as tx:
        tx.add_category(JOB.category)
        tx.add_jobs([JOB])
        tx.add_runs([RUN])
    assert places(RUN.id) == (None, None, RUN.id)


def test_an_instance_on_another_branch_is_found() -> None:
    places = three_places()
    ok(places["b3"].client.put("/foo/"), 201)
    ok(places["b3"].client.put("/foo/instances/w1/?branch=b3"), 201)
    with places["b1"].house.store.recording() as tx:
        tx.observe(SOURCE, [observed("t1", 1.0, "STARTED", worker="w1@b3")])
        tx.observe(SOURCE, [observed("t2", 1.0, "STARTED", worker="w1@b2")])
    for place in places.values():
        task = ok(place.client.get("/api/tasks/t1/"))["data"]["task"]
        assert task["instance"] == {"app": "foo", "name": "w1"}
        assert ok(place.client.get("/api/tasks/t2/"))["data"]["task"]["instance"] is None
    places["b3"].peer.is_mute = True
    assert ok(places["b1"].client.get("/api/tasks/t1/"))["data"]["task"]["instance"] is None


@pytest.mark.parametrize(
    "query",
    [
        {"state": "GONE"},
        {"after": "x"},
        {"after": "1"},
        {"since": "yesterday"},
        {"per_page": 0},
        {"per_page": 100_000},
        {"q": "a\x00"},
        {"app": "a b"},
        {"nothing": 1},
    ],
)
def test_what_cannot_be_asked(client: FlaskClient, query: dict[str, Any]) -> None:
    answer = client.get("/api/tasks/", query_string=query)
    assert answer.status_code == 400, answer.get_json()


def test_how_a_producer_joins(client: FlaskClient, house: World) -> None:
    told = client.get("/foo/tracking/").get_json()
    assert (told["is_tracked"], told["source"]) == (False, SOURCE)
    assert told["line"] == 'app.config_from_object(Config(queues=["mail"]))'
    assert told["seen"]["message_at"] is None
    with house.store.recording() as tx:
        tx.save_source(Source(SOURCE, "platform.fifo", 3.5, 2.5, 0.0, refused={"body": 2}))
    client.put("/foo/", json={"tracked": True, "extra_config": {"task_default_exchange": "mine"}})
    told = client.get("/foo/tracking/").get_json()
    assert told["is_tracked"] is True
    assert told["line"].endswith('queues=["mail"], task_default_exchange="mine"))')
    assert told["seen"] == {
        "watched_at": 3.5,
        "message_at": 2.5,
        "event_at": None,
        "refused": {"body": 2},
    }
    assert client.get("/foo/").get_json()["is_tracked"] is True
    client.put("/foo/", json={"tracked": None})
    assert client.get("/foo/").get_json()["is_tracked"] is False
