"""Jobs over HTTP: the contract's rows, whoever asks, and whatever is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from cyme_supd.domain.job import Run, RunEvent, RunStatus, job_id, run_id
from cyme_supd.domain.jobfields import FIELDS, MAX_JOBS
from cyme_supd.store.engine import open_engine, sqlite_url
from cyme_supd.store.migrations import migrate
from cyme_supd.store.repository import SqlStore
from cyme_supd.testing.dispatching import MemoryDispatched
from cyme_supd.web.app import create_app
from cyme_supd.web.jobparams import JobFields
from cyme_supd.web.settings import Settings
from tests.unit.fleet_support import ok
from tests.unit.hostile import NAMES
from tests.unit.service_support import BROKER, START, World
from tests.unit.test_job_fields import HOSTILE
from tests.unit.test_web_access import bearer

SEED = """
    {
        "category": "example",
        "jobs": [{
            "name": "Test Job",
            "schedule": "R/2013-05-29T00:00:00/PT1M",
            "command": "sleep 10",
            "routing_key": "slow"
        }]
    }"""
ENTRY = {"name": "a", "schedule": "@daily", "command": "true"}
ID = job_id("example", "a")


@pytest.fixture
def client(house: World) -> Iterator[FlaskClient]:
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        yield client


def put(client: FlaskClient, *jobs: Any, category: str = "example", **rest: Any) -> Any:
    body = {"jobs": [{**ENTRY, **each} for each in jobs], **rest}
    return client.put(f"/api/category/{category}", json=body)


def names(client: FlaskClient, query: str = "") -> list[str]:
    return [each["name"] for each in ok(client.get(f"/api/jobs{query}"))["data"]["jobs"]]


def job(client: FlaskClient, id: str = ID, query: str = "") -> Any:
    return ok(client.get(f"/api/jobs/{id}{query}"))["data"]["job"]


def a_run(house: World, second: int = 0, **given: Any) -> Run:
    at = START.replace(second=second)
    run = Run(run_id(ID, at), ID, "example", "a", at, RunStatus.QUEUED, at)
    with house.store.writing() as tx:
        tx.add_runs([replace(run, **given)])
    return run


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_the_seeds_own_call(client: FlaskClient, method: str) -> None:
    where, kind = "/api/category/example", "application/json"
    first = client.open(where, method=method, data=SEED, content_type=kind)
    assert ok(first) == {"status": "success", "added": ["Test Job"], "changed": [], "removed": []}
    again = client.open(f"{where}/", method=method, data=SEED, content_type=kind)
    assert ok(again) == {"status": "success", "added": [], "changed": [], "removed": []}
    (found,) = ok(client.get("/api/jobs"))["data"]["jobs"]
    assert (found["command"], found["routing_key"], found["category_name"]) == (
        "sleep 10",
        "slow",
        "example",
    )


def test_a_category_is_replaced_as_a_whole(client: FlaskClient, house: World) -> None:
    ok(put(client, {"name": "a"}, {"name": "b"}, {"name": "c"}))
    run, before = a_run(house), job(client)
    house.clock.sleep(1000)
    made = ok(put(client, {"name": "a", "command": "false"}, {"name": "b"}, {"name": "d"}))
    assert made == {"status": "success", "added": ["d"], "changed": ["a"], "removed": ["c"]}
    after = job(client)
    assert after == {**before, "command": "false"}
    assert [each["id"] for each in after["runs"]] == [run.id]
    assert names(client) == ["a", "b", "d"]


def test_runs_stay_when_the_job_goes(client: FlaskClient, house: World) -> None:
    ok(put(client, {}))
    run = a_run(house)
    ok(put(client))
    assert names(client) == []
    shown = ok(client.get(f"/api/runs/{run.id}"))["data"]["run"]
    assert (shown["job_name"], shown["category_name"]) == ("a", "example")
    ok(put(client, {}))
    assert [each["id"] for each in job(client)["runs"]] == [run.id]


def test_a_category_is_deleted(client: FlaskClient) -> None:
    ok(put(client, {}))
    ok(put(client, {}, category="other"))
    assert ok(client.delete("/api/category/example")) == {"ok": "ok"}
    ok(client.delete("/api/category/example"), 404)
    found = ok(client.get("/api/categories"))["data"]["categories"]
    assert [(each["name"], each["job_count"]) for each in found] == [("other", 1)]
    ok(client.get("/api/categories/example"), 404)
    (theirs,) = ok(client.get("/api/categories/other"))["data"]["category"]["jobs"]
    assert theirs["name"] == "a"


def test_pages_and_filters(client: FlaskClient) -> None:
    ok(put(client, *({"name": name} for name in "cab"), category="x"))
    ok(put(client, {"name": "z", "schedule": "* * * * *"}, {"paused": True}, category="y"))
    assert names(client) == ["a", "b", "c", "a", "z"]
    assert names(client, "?per_page=2&page=2") == ["c", "a"]
    assert names(client, "?sort=-name") == ["z", "a", "c", "b", "a"]
    assert names(client, "?sort=next_fire_at")[0] == "z"
    assert names(client, "?sort=-next_fire_at")[-2:] == ["z", "a"]
    assert names(client, "?category_name=y") == ["a", "z"]
    category = ok(client.get("/api/jobs?category_name=y"))["data"]["jobs"][0]["category_id"]
    assert names(client, f"?category_id={category}") == ["a", "z"]
    assert names(client, f"?id={job_id('x', 'b')}") == ["b"]
    assert names(client, "?category_name=none") == []
    more = [ok(client.get(f"/api/jobs?per_page={n}"))["data"]["has_more"] for n in (4, 5)]
    assert more == [True, False]


@pytest.mark.parametrize(
    "query",
    ["sort=age", "page=0", "per_page=0", "per_page=1e9", "id=%00", "category_name=%C3%BC", "x=1"],
)
def test_no_page_of_jobs(client: FlaskClient, query: str) -> None:
    assert client.get(f"/api/jobs?{query}").status_code == 400


def test_what_is_next(client: FlaskClient) -> None:
    ok(put(client, {"schedule": "0 6 * * *", "timezone": "Europe/Berlin"}))
    expected = ["2026-01-02T05:00:00.000000Z", "2026-01-03T05:00:00.000000Z"]
    assert job(client, query="?next=2")["upcoming"] == expected
    assert job(client)["upcoming"] == []
    assert job(client)["next_fire_at"] == expected[0]
    assert client.get(f"/api/jobs/{ID}?next=1001").status_code == 400


def test_paused_and_resumed(client: FlaskClient, house: World) -> None:
    ok(put(client, {}))
    due = job(client)["next_fire_at"]
    held = ok(client.post(f"/api/jobs/{ID}/pause"))["data"]["job"]
    assert (held["paused"], held["next_fire_at"]) == (True, None)
    # Whoever applies the list again does not know of it.
    ok(put(client, {}))
    assert job(client)["paused"]
    house.clock.sleep(86400)
    free = ok(client.post(f"/api/jobs/{ID}/resume"))["data"]["job"]
    assert not free["paused"]
    assert free["next_fire_at"] > due
    with house.store.reading() as view:
        assert view.next_due_at() is not None


def test_what_is_due_is_so_by_the_clock_of_the_database(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = timedelta(days=2)
    monkeypatch.setattr(MemoryDispatched, "database_now", lambda _, now: now + ahead)
    put(client, {})
    due = datetime.fromisoformat(job(client)["next_fire_at"])
    assert ahead < due - START <= ahead + timedelta(days=1)
    ok(client.post(f"/api/jobs/{ID}/pause"))
    ok(client.post(f"/api/jobs/{ID}/resume"))
    assert datetime.fromisoformat(job(client)["next_fire_at"]) == due


@pytest.mark.parametrize("id", [job_id("no", "one"), "1", "%00", "a" * 5000])
def test_what_is_not_there(client: FlaskClient, id: str) -> None:
    for path in (f"/api/jobs/{id}", f"/api/runs/{id}"):
        ok(client.get(path), 404)
    for verb in ("pause", "resume"):
        ok(client.post(f"/api/jobs/{id}/{verb}"), 404)


def test_history(client: FlaskClient, house: World) -> None:
    ok(put(client, {}))
    failed = a_run(house, 1, status=RunStatus.FAILED, exit_code=1)
    last = [a_run(house, second) for second in range(2, 8)][-1]
    with house.store.writing() as tx:
        tx.add_run_events([RunEvent(failed.id, START, "failed", "exit code 1")])
    found = ok(client.get(f"/api/runs?job_id={ID}&per_page=3"))["data"]
    assert (len(found["runs"]), found["runs"][0]["id"], found["has_more"]) == (3, last.id, True)
    (one,) = ok(client.get("/api/runs?status=failed"))["data"]["runs"]
    assert (one["id"], one["exit_code"]) == (failed.id, 1)
    shown = ok(client.get(f"/api/runs/{failed.id}"))["data"]["run"]
    assert [each["type"] for each in shown["events"]] == ["failed"]
    assert len(job(client)["runs"]) == 5
    assert "succeeded" in ok(client.get("/api/runs?status=suceeded"), 400)["error"]["hint"]


# Secrets, callers, what is written down


def test_secrets_are_masked(client: FlaskClient) -> None:
    secret = {"environment": {"TOKEN": "hunter2"}, "command": "curl http://u:hunter2@h/"}
    ok(put(client, secret))
    for path in ("/api/jobs", f"/api/jobs/{ID}", "/api/categories/example", "/api/audit"):
        shown = client.get(path).get_data(as_text=True)
        assert "hunter2" not in shown
        assert "TOKEN" in shown
    assert job(client, query="?secrets=1")["environment"] == {"TOKEN": "hunter2"}
    back = put(client, {"environment": {"TOKEN": "********"}})
    assert "masked" in ok(back, 400)["error"]["message"]


def test_who_may_do_what(client: FlaskClient) -> None:
    ok(put(client, {}))
    admin: dict[str, str] = {}
    headers: dict[str, dict[str, str]] = {}
    for role in ("admin", "operator", "viewer"):
        given = {"label": role, "role": role}
        made = ok(client.post("/api/tokens/", json=given, headers=admin), 201)
        headers[role] = bearer(made["token"])
        admin = headers["admin"]
    viewer, operator = headers["viewer"], headers["operator"]
    body = {"jobs": [ENTRY]}
    assert client.get("/api/jobs", headers=viewer).status_code == 200
    assert client.get("/api/runs").status_code == 401
    pause, resume = f"/api/jobs/{ID}/pause", f"/api/jobs/{ID}/resume"
    assert client.post(pause, headers=viewer).status_code == 403
    assert client.post(pause, headers=operator).status_code == 200
    assert client.post(resume, headers=operator).status_code == 200
    for caller, status in ((viewer, 403), (operator, 403), (admin, 200)):
        assert client.put("/api/category/x", json=body, headers=caller).status_code == status
    assert client.delete("/api/category/x", headers=operator).status_code == 403
    assert client.get("/api/jobs?secrets=1", headers=operator).status_code == 403


def test_each_change_is_written_down(client: FlaskClient, house: World) -> None:
    ok(put(client, {}, {"name": "b", "command": "x" * 65536}))
    house.clock.sleep(1)
    ok(put(client, {"command": "false"}))
    for _ in range(2):
        house.clock.sleep(1)
        ok(client.post(f"/api/jobs/{ID}/pause"))
    house.clock.sleep(1)
    ok(client.delete("/api/category/example"))
    events = ok(client.get("/api/audit?kind=job"))["data"]["events"]
    assert [(each["verb"], each["name"]) for each in reversed(events)] == [
        ("create", "a"),
        ("create", "b"),
        ("delete", "b"),
        ("edit", "a"),
        ("edit", "a"),
        ("delete", "a"),
    ]
    edit = events[2]
    assert edit["before"] == {"category": "example", "command": "true"}
    assert edit["after"] == {"category": "example", "command": "false"}
    assert len(events[4]["after"]["command"]) < 1100


# What somebody sends one day


@pytest.fixture
def on_disk(house: World, tmp_path: Path) -> Iterator[FlaskClient]:
    """Where half a change would stay."""
    url = sqlite_url(tmp_path / "branch.db")
    engine = open_engine(url)
    migrate(engine)
    engine.dispose()
    store = SqlStore(url, BROKER, branch="b1")
    with create_app(Settings(branch="b1"), house.over(store)).test_client() as client:
        yield client
    store.close()


def test_nothing_is_changed_where_anything_is_wrong(on_disk: FlaskClient) -> None:
    ok(put(on_disk, {"name": "a"}, {"name": "b"}))
    before = on_disk.get("/api/jobs").get_data()
    for said, _ in HOSTILE:
        wrong = {"name": "c", "schedule": "@daily", "command": "true", **said}
        body = {"jobs": [{**ENTRY, "command": "false"}, wrong]}
        answer = on_disk.put("/api/category/example", json=body)
        assert answer.status_code == 400, said
        assert answer.get_json()["error"]["code"] == "invalid"
    assert on_disk.get("/api/jobs").get_data() == before
    assert len(ok(on_disk.get("/api/audit"))["data"]["events"]) == 2


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({}, "jobs: it is missing"),
        ({"jobs": "x"}, "jobs: a list"),
        ({"jobs": {"a": 1}}, "jobs: a list"),
        ({"jobs": [[]]}, "jobs[0]: no object"),
        ({"jobs": [None]}, "jobs[0]: no object"),
        ({"jobs": [ENTRY, ENTRY]}, "job 'a': name: it is there twice"),
        ({"jobs": [], "category": "other"}, "category: 'other' is not that of the path"),
        ({"jobs": [], "category": 1}, "category: "),
        ({"jobs": [{**ENTRY, "app": "nobody"}]}, "job 'a': app: there is no app 'nobody'"),
        ({"job": []}, "unknown parameter 'job'"),
        ({"jobs": [json.loads("[" * 100 + "]" * 100)]}, "jobs[0]: no object"),
    ],
)
def test_what_is_no_category(client: FlaskClient, body: Any, complaint: str) -> None:
    error = ok(client.put("/api/category/example", json=body), 400)["error"]
    assert error["message"].startswith(complaint)
    ok(client.get("/api/categories/example"), 404)


def test_a_hostile_name_of_a_category(client: FlaskClient) -> None:
    for name in NAMES:
        where = f"/api/category/{quote(name, safe='')}"
        assert client.put(where, json={"jobs": [ENTRY]}).status_code in (400, 404, 405)
    assert ok(client.get("/api/categories"))["data"]["categories"] == []


def test_a_hostile_name_of_a_job_is_refused_or_kept_as_it_is(on_disk: FlaskClient) -> None:
    for name in (*NAMES, "../../x", "'; DROP TABLE job; --", "🕐", "a" * 128):
        answer = put(on_disk, {"name": name})
        assert answer.status_code in (200, 400)
        assert names(on_disk) == ([name] if answer.status_code == 200 else [])
        ok(put(on_disk))


def test_ten_thousand_jobs_at_once(on_disk: FlaskClient) -> None:
    many = [{"name": f"job {number}"} for number in range(MAX_JOBS)]
    assert len(ok(put(on_disk, *many))["added"]) == MAX_JOBS
    changed = [{**each, "retries": 1} for each in many[1:]]
    made = ok(put(on_disk, *changed))
    assert [len(made[key]) for key in ("added", "changed", "removed")] == [0, MAX_JOBS - 1, 1]
    too_many = put(on_disk, *many, {"name": "one more"})
    assert "more than 10000" in ok(too_many, 400)["error"]["message"]


def test_a_list_of_sixteen_megabytes(client: FlaskClient) -> None:
    big = [{"name": str(number), "command": "x" * 60_000} for number in range(250)]
    assert len(ok(put(client, *big))["added"]) == 250
    bigger = [{"name": str(number), "command": "x" * 60_000} for number in range(300)]
    assert ok(put(client, *bigger), 413)["error"]["code"] == "too_large"
    # It is for this route alone.
    ok(client.put("/foo/", data=b"{" + b" " * 2**20 + b"}", content_type="application/json"), 413)


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (SEED, "text/plain", 415),
        (SEED, "application/x-www-form-urlencoded", 400),
        ("{", "application/json", 400),
        ("[]", "application/json", 400),
        ('{"jobs": NaN}', "application/json", 400),
        ('{"jobs": [], "jobs": []}', "application/json", 400),
        (b'{"jobs": ["\xff"]}', "application/json", 400),
        ("", "application/json", 400),
    ],
)
def test_other_bodies(client: FlaskClient, data: Any, kind: str, status: int) -> None:
    ok(client.put("/api/category/example", data=data, content_type=kind), status)


def test_the_shape_that_is_published_has_the_fields_that_are_read() -> None:
    assert JobFields.model_fields.keys() == FIELDS.keys()


def test_a_dry_run_checks_and_keeps_nothing(client: FlaskClient) -> None:
    ok(put(client, {}, dry_run=True))
    ok(put(client, {"schedule": "R/0000"}, dry_run=True), 400)
    assert names(client) == []
