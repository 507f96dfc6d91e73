"""Tasks that are tracked, from the command line and from Python."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cyme_supd.cli.asking import Wanted
from cyme_supd.cli.cyme import cyme
from cyme_supd.client import Client, Conflict, Invalid, NotFound
from cyme_supd.client import tracked as tracked_client
from cyme_supd.domain.ledger import observed
from cyme_supd.domain.ledgerstore import EVENTS, Gap, Refusal
from cyme_supd.service import retrying
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import World
from tests.unit.whole_support import AGAIN, SOURCE, whole_house


@pytest.fixture
def house() -> World:
    made = whole_house()
    facts = {"name": "mail.send", "routing_key": "mail", "args": "('ann',)"}
    failed = [observed(f"f{n}", 10.0 + n, "FAILURE", 0, error="E()", **facts) for n in range(5)]
    with made.store.recording() as tx:
        tx.observe(SOURCE, failed, dict.fromkeys((each.id for each in failed), AGAIN))
        tx.add_gap(Gap(SOURCE, EVENTS, 5.0, 6.0, "away"))
        tx.refuse([Refusal(SOURCE, 7.0, "content type", "pickle")])
    return made


@pytest.fixture
def client(house: World) -> Iterator[Client]:
    app = create_app(Settings("b1"), house.service)
    with Client("http://localhost:8000", wsgi=app) as made:
        yield made


def run(client: Client, *words: str, app: str | None = None, format: str = "json") -> Result:
    wanted = Wanted(given=client, format=format, app=app)
    return CliRunner().invoke(cyme, words, obj=wanted, standalone_mode=False)


def output(result: Result) -> Any:
    if result.exception:
        raise result.exception
    return json.loads(result.output)


def test_tasks(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracked_client, "PAGE", 2)
    found = output(run(client, "tasks", "--name", "mail.send", app="foo"))
    assert [each["id"] for each in found] == ["f4", "f3", "f2", "f1", "f0"]
    assert [each["id"] for each in output(run(client, "tasks", "--limit", "1"))] == ["f4"]
    assert output(run(client, "tasks", "--with", "bob")) == []
    shown = run(client, "tasks", "--state", "FAILURE", format="table").output
    assert "mail.send" in shown
    assert "began_at" in shown


def test_one_of_them(client: Client) -> None:
    assert output(run(client, "tasks.get", "f1"))["error"] == "E()"
    assert isinstance(run(client, "tasks.get", "none").exception, NotFound)


def test_what_is_known_beside_them(client: Client) -> None:
    (group,) = output(run(client, "tasks.errors"))
    assert (group["error"], group["count"], group["last"]) == ("E", 6, "f4")
    assert output(run(client, "tasks.errors", "--name", "none")) == []
    assert [each["reason"] for each in output(run(client, "tasks.gaps", app="foo"))] == ["away", ""]
    (refusal, _) = output(run(client, "tasks.refusals", app="foo"))
    assert (refusal["reason"], refusal["detail"]) == ("content type", "pickle")


def test_all_of_them_line_by_line(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracked_client, "PAGE", 2)
    since = ("--since", "1970-01-01T00:00:08Z")
    lines = run(client, "tasks.export", "--state", "FAILURE", *since).output.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["f4", "f3", "f2", "f1", "f0"]
    assert json.loads(lines[0])["states"].keys() == {"FAILURE"}


def test_one_is_sent_again(client: Client, house: World) -> None:
    new = output(run(client, "tasks.retry", "f1"))["id"]
    assert [(each.id, each.of) for each in house.task_broker.sent] == [(new, "f1")]
    assert isinstance(run(client, "tasks.retry", "f1").exception, Conflict)
    assert output(run(client, "tasks.retry", "f1", "--force"))["id"] != new


def test_all_that_match(client: Client, house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "AT_ONCE", 1)
    monkeypatch.setattr(retrying, "MOST", 2)
    words = ("tasks.retry", "--error", "E", "--name", "mail.send")
    told = {"matched": 5, "sent": 5, "left_out": {}, "ids": []}
    assert output(run(client, *words, "--dry-run")) == told
    assert house.task_broker.sent == []
    made = output(run(client, *words, app="foo"))
    assert {**made, "ids": []} == told
    assert len(set(made["ids"])) == 5
    again = output(run(client, *words))
    assert (again["sent"], again["left_out"]) == (0, {"retried": 5})


def test_a_broker_that_goes_away_is_not_asked_for_ever(client: Client, house: World) -> None:
    house.task_broker.takes = 3
    made = output(run(client, "tasks.retry", "--name", "mail.send"))
    assert (made["sent"], made["left_out"]) == (3, {"not sent": 2})


@pytest.mark.parametrize(
    "words",
    [
        ("f1", "--dry-run"),
        ("f1", "--state", "FAILURE"),
        ("--state", "FAILURE", "--force"),
        ("--state", "GONE"),
        (),
    ],
)
def test_what_makes_no_sense(client: Client, house: World, words: tuple[str, ...]) -> None:
    assert isinstance(run(client, "tasks.retry", *words).exception, Invalid)
    assert house.task_broker.sent == []


def test_one_is_revoked(client: Client, house: World) -> None:
    assert output(run(client, "tasks.revoke", "t1", "--terminate")) == {"ok": "ok"}
    assert house.task_broker.revoked == [("t1", True)]
    assert isinstance(run(client, "tasks.revoke", "f1").exception, Conflict)
