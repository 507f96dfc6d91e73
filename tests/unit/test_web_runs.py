"""Runs over HTTP: now and by hand, to their end, what they printed, and when they are forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from cyme_supd.domain.job import Run, RunOutput, RunStatus, run_id
from cyme_supd.domain.spec import App, Instance
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.fleet_support import ok, three_places
from tests.unit.service_support import HERE, START, World
from tests.unit.test_web_access import bearer
from tests.unit.test_web_jobs import ID, a_run, put

PASSWORD = "long enough"
NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def client(house: World) -> Iterator[FlaskClient]:
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        yield client


def run_now(client: FlaskClient, status: int = 202) -> Any:
    return ok(client.post(f"/api/jobs/{ID}/run"), status)


def details(client: FlaskClient, id: str) -> Any:
    return ok(client.get(f"/api/runs/{id}"))["data"]["run"]


def change(house: World, id: str, **given: Any) -> None:
    with house.store.writing() as tx:
        tx.save_runs([replace(tx.run(id), **given)])


def printed(house: World, run: Run, tail: bytes, size: int | None = None) -> None:
    output = RunOutput(run.id, START, len(tail) if size is None else size, tail)
    with house.store.writing() as tx:
        tx.save_outputs([output])


def listed(client: FlaskClient, query: str) -> list[str]:
    return [each["id"] for each in ok(client.get(f"/api/runs?{query}"))["data"]["runs"]]


# Now, by hand


def test_run_now(client: FlaskClient, house: World) -> None:
    ok(put(client, {"paused": True}))
    before = house.hints.sent
    made = run_now(client)["data"]["run"]
    assert (made["status"], made["job_id"], made["attempt"]) == ("queued", ID, 1)
    assert house.hints.sent > before
    with house.store.reading() as view:
        run = view.run(made["id"])
        assert run.order_at == run.fire_at == house.clock.now()
    assert [each["type"] for each in details(client, run.id)["events"]] == ["queued"]
    # Whatever the moment, each has a fire time of its own.
    assert run_now(client)["data"]["run"]["id"] != run.id
    (event, _) = ok(client.get("/api/audit?kind=run"))["data"]["events"]
    assert (event["verb"], event["name"]) == ("create", "a")


def test_a_run_by_hand_overlaps_as_any_other(client: FlaskClient, house: World) -> None:
    ok(put(client, {"overlap": "skip"}))
    first = run_now(client)["data"]["run"]["id"]
    assert first in run_now(client, 409)["error"]["message"]
    change(house, first, status=RunStatus.SUCCEEDED)
    second = run_now(client)["data"]["run"]["id"]
    ok(put(client, {"overlap": "queue"}))
    held = run_now(client)["data"]["run"]["id"]
    with house.store.reading() as view:
        assert view.run(second).order_at is not None
        assert view.run(held).order_at is None


def test_who_may(client: FlaskClient, house: World) -> None:
    ok(put(client, {}))
    run = a_run(house)
    changes = [f"/api/jobs/{ID}/run", f"/api/runs/{run.id}/cancel", "/api/runs/prune?keep=1"]
    reads = [f"/api/runs/{run.id}/output", "/api/jobs/troubles", "/api/runs"]
    ok(
        client.post("/api/users/", json={"name": "root", "password": PASSWORD, "role": "admin"}),
        201,
    )
    for role, allowed in (("viewer", 0), ("operator", 2), ("admin", 3)):
        made = client.post("/api/tokens/", json={"role": role}, auth=("root", PASSWORD))
        headers = bearer(ok(made, 201)["token"])
        for number, path in enumerate(changes):
            refused = client.post(f"{path}{'&' if '?' in path else '?'}dry_run=1", headers=headers)
            assert (refused.status_code == 403) == (number >= allowed), (role, path)
        for path in reads:
            ok(client.get(path, headers=headers))


@pytest.mark.parametrize("path", ["jobs/{}/run", "runs/{}/cancel"])
@pytest.mark.parametrize("id", [NOBODY, "x", "a%00b", "%C3%BC", "." * 200])
def test_of_what_is_not_there(client: FlaskClient, path: str, id: str) -> None:
    ok(client.post(f"/api/{path.format(id)}"), 404)


# To its end


def test_a_queued_run_is_cancelled_at_once(client: FlaskClient, house: World) -> None:
    ok(put(client, {}))
    run = run_now(client)["data"]["run"]["id"]
    ended = ok(client.post(f"/api/runs/{run}/cancel"))["data"]["run"]
    assert (ended["status"], ended["reason"]) == ("cancelled", "cancelled")
    assert ended["finished_at"]
    assert "cancelled" in ok(client.post(f"/api/runs/{run}/cancel"), 409)["error"]["message"]


def test_a_running_one_is_to_end(client: FlaskClient, house: World) -> None:
    run = a_run(house, status=RunStatus.RUNNING)
    for _ in range(2):
        answer = ok(client.post(f"/api/runs/{run.id}/cancel"), 202)["data"]["run"]
        assert (answer["status"], answer["is_cancelling"]) == ("running", True)
    assert [each["type"] for each in details(client, run.id)["events"]] == ["cancelling"]
    with house.store.reading() as view:
        assert view.run(run.id).wants_cancel


# What is shown


def test_which_runs(client: FlaskClient, house: World) -> None:
    a, b, c = (
        a_run(house, second, status=status).id
        for second, status in enumerate(("failed", "lost", "succeeded"))
    )
    assert listed(client, "status=failed,lost") == [b, a]
    assert listed(client, "status=failed,,lost&per_page=1&page=2") == [a]
    assert listed(client, "category_name=example") == [c, b, a]
    assert listed(client, "category_name=none") == []
    moment = START.replace(second=1).isoformat().replace("+", "%2B")
    assert listed(client, f"since={moment}") == [c, b]
    assert listed(client, f"before={moment}&job_id={ID}") == [a]
    assert "did you mean 'failed'" in str(ok(client.get("/api/runs?status=faild"), 400)["error"])
    for query in ("since=never", "before=x", "status=failed,x", "category_name=%00"):
        ok(client.get(f"/api/runs?{query}"), 400)


def test_where_its_log_lines_are(house: World) -> None:
    template = "https://logs/?job={job_id}&run={run_id}&from={start_time}&to={end_time}"
    here = replace(HERE, run_log_url=template)
    run = a_run(house, started_at=START, finished_at=START + timedelta(seconds=5))
    app = create_app(Settings(branch="b1"), house.over(house.store, here))
    with app.test_client() as client:
        at = START.isoformat(timespec="milliseconds").replace("+00:00", "Z").replace(":", "%3A")
        url = details(client, run.id)["log_url"]
        assert url.startswith(f"https://logs/?job={ID}&run={run.id}&from={at}&to=")
        assert url == ok(client.get("/api/runs"))["data"]["runs"][0]["log_url"]


# What it printed


def text(client: FlaskClient, run: Run, query: str = "") -> tuple[str, str]:
    answer = client.get(f"/api/runs/{run.id}/output{query}")
    assert answer.status_code == 200
    return answer.get_data(as_text=True), answer.headers["Cyme-Output"]


def test_its_output_where_it_ran_elsewhere(client: FlaskClient, house: World) -> None:
    run = a_run(house)
    assert text(client, run) == ("", "bytes 0-0/0")
    printed(house, run, b"efgh", 8)
    assert text(client, run) == ("efgh", "bytes 4-8/8")
    assert text(client, run, "?bytes=2") == ("gh", "bytes 6-8/8")
    assert text(client, run, "?begin=5&bytes=2") == ("fg", "bytes 5-7/8")
    # What is not kept is not there to be had.
    assert text(client, run, "?begin=0") == ("efgh", "bytes 4-8/8")
    assert text(client, run, "?begin=99") == ("", "bytes 8-8/8")
    assert details(client, run.id)["output_size"] == 8


def test_its_output_where_it_ran_here(client: FlaskClient, house: World) -> None:
    run = a_run(house)
    printed(house, run, b"efgh", 8)
    house.run_logs.known[ID, run.id] = b"abcd\xffefgh"
    assert text(client, run) == ("abcd\ufffdefgh", "bytes 0-9/9")
    assert text(client, run, "?begin=0&bytes=3") == ("abc", "bytes 0-3/9")
    assert text(client, run, "?bytes=2") == ("gh", "bytes 7-9/9")


def followed(client: FlaskClient, run: Run, last_id: str = "") -> str:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    answer = client.get(f"/api/runs/{run.id}/output?follow=1", headers=headers)
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


def test_it_is_followed_to_its_end(client: FlaskClient, house: World) -> None:
    run = a_run(house, status=RunStatus.RUNNING)
    logs = house.run_logs.known
    logs[ID, run.id] = b"one\n"

    def go_on() -> None:
        if house.clock.elapsed > 2 and b"two" not in logs[ID, run.id]:
            logs[ID, run.id] += b"two\nthr"
        if house.clock.elapsed > 4:
            logs[ID, run.id] = b"one\ntwo\nthree"
            change(house, run.id, status=RunStatus.SUCCEEDED)

    house.clock.listeners.append(go_on)
    told = followed(client, run).split("\n\n")[1:]
    assert told[:2] == [
        "event: tail\ndata: one\nid: 1-4",
        "event: more\ndata: two\nid: 1-11",
    ]
    assert told[2:] == [
        "event: more\ndata: three\nid: 1-13",
        "event: end\ndata: succeeded\nid: end",
        "",
    ]
    assert house.clock.elapsed < 10
    again = client.get(f"/api/runs/{run.id}/output?follow=1", headers={"Last-Event-ID": "end"})
    assert again.status_code == 204


def test_it_is_followed_where_only_the_store_has_it(client: FlaskClient, house: World) -> None:
    run = a_run(house, status=RunStatus.RUNNING)

    def go_on() -> None:
        if house.clock.elapsed > 2:
            printed(house, run, b"x" * 10 + b"\nlast\n", 300)
            change(house, run.id, status=RunStatus.FAILED)

    printed(house, run, b"first\n")
    house.clock.listeners.append(go_on)
    told = followed(client, run)
    assert "event: tail\ndata: first\nid: 0-6" in told
    assert "278 bytes are left out" in told
    assert "data: last\nid: 0-300" in told
    assert told.endswith("event: end\ndata: failed\nid: end\n\n")


def test_it_goes_on_where_it_was(client: FlaskClient, house: World) -> None:
    run = a_run(house, status=RunStatus.FAILED)
    printed(house, run, b"one\ntwo\n")
    assert "one" not in followed(client, run, "0-4")
    assert "data: two" in followed(client, run, "0-4")


def test_all_of_it_is_asked_of_the_host_that_ran_it() -> None:
    places = three_places(is_shared=True)
    asked, ran = places["b1"], places["b3"]
    run = a_run(asked.house, status=RunStatus.RUNNING, instance="w1")
    with asked.house.store.writing() as tx:
        tx.add_app(App("foo", START))
        tx.add_instance(Instance("w1", "foo", "b3", created_at=START))
    printed(asked.house, run, b"end", 9)
    assert text(asked.client, run) == ("end", "bytes 6-9/9")
    ran.house.run_logs.known[ID, run.id] = b"from the beginning to the end"
    assert text(asked.client, run) == ("from the beginning to the end", "bytes 0-29/29")
    assert text(asked.client, run, "?begin=5&bytes=3") == ("the", "bytes 5-8/29")
    # Who is not there keeps nobody from what the store has.
    ran.peer.is_mute = True
    assert text(asked.client, run) == ("end", "bytes 6-9/9")
    ran.peer.is_mute = False
    change(asked.house, run.id, instance="cyme-runner-1")
    assert text(asked.client, run) == ("end", "bytes 6-9/9")
    ok(asked.client.get(f"/api/runs/{NOBODY}/output"), 404)


# When they are forgotten


def test_runs_are_forgotten(client: FlaskClient, house: World) -> None:
    ended = {"status": RunStatus.SUCCEEDED}
    runs = [a_run(house, second, **ended).id for second in range(5)]
    going = a_run(house, 9, status=RunStatus.RUNNING).id
    assert ok(client.post("/api/runs/prune?keep=3&dry_run=1"))["actions"] == []
    assert ok(client.post("/api/runs/prune?keep=3")) == {"runs": 3, "is_done": True}
    assert listed(client, "") == [going, runs[4], runs[3]]
    house.clock.sleep(3600)
    assert ok(client.post("/api/runs/prune?older=1h"))["runs"] == 2
    assert listed(client, "") == [going]
    (event, *_) = ok(client.get("/api/audit?kind=run"))["data"]["events"]
    assert (event["verb"], event["before"]) == ("delete", {"runs": 2})
    for query in ("", "?older=x", "?older=-1d", "?keep=-1", "?older=1e9d"):
        ok(client.post(f"/api/runs/prune{query}"), 400)


def test_of_several_branches_each_forgets_its_own() -> None:
    places = three_places()
    for number, place in enumerate(places.values()):
        for second in range(number + 1):
            at = START.replace(second=second)
            job = NOBODY[:-1] + str(number)
            run = Run(run_id(job, at), job, "x", "y", at, RunStatus.FAILED, at)
            with place.house.store.writing() as tx:
                tx.add_runs([run])
    made = ok(places["b1"].client.post("/api/runs/prune?keep=1"))
    assert made == {"runs": 3, "is_done": True}
    assert len(listed(places["b2"].client, "")) == 3


def test_of_several_branches_the_one_that_has_it_acts() -> None:
    places = three_places()
    ok(put(places["b2"].client, {}))
    run = run_now(places["b1"].client)["data"]["run"]["id"]
    assert details(places["b3"].client, run)["status"] == "queued"
    answer = places["b3"].client.get(f"/api/runs/{run}/output")
    assert (answer.status_code, answer.headers["Cyme-Output"]) == (200, "bytes 0-0/0")
    refused = ok(places["b3"].client.get(f"/api/runs/{run}/output?follow=1"), 501)
    assert "b2" in refused["error"]["message"]
    ok(places["b3"].client.post(f"/api/runs/{run}/cancel"))
    assert places["b2"].house.service.runs.get(run).run.status == RunStatus.CANCELLED
