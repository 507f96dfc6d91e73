"""What the pages of jobs show, of whom, and what they never do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html import unescape

import pytest
from flask.testing import FlaskClient

from cyme_supd.domain.job import RunEvent, RunOutput, RunStatus
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.fleet_support import ok
from tests.unit.pages_support import JOB, RUN, put_a_job
from tests.unit.service_support import HERE, START, World, put
from tests.unit.test_pages import EVIL
from tests.unit.test_web_jobs import put as put_jobs


@pytest.fixture
def client(house: World) -> Iterator[FlaskClient]:
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        put_a_job(client, house)
        yield client


def shown(client: FlaskClient, path: str = "", status: int = 200) -> str:
    answer = client.get(f"/admin/jobs/{path}")
    assert answer.status_code == status
    return answer.get_data(as_text=True)


def change(house: World, **given: object) -> None:
    with house.store.writing() as tx:
        tx.save_runs([replace(tx.run(RUN), **given)])  # type: ignore[arg-type]


def test_jobs_by_category(client: FlaskClient, house: World) -> None:
    ok(put_jobs(client, {"name": "z", "paused": True}, {"name": "b"}, category="other"))
    text = shown(client)
    assert text.index(">example</a>") < text.index(">other</a>")
    assert '<span class="level held">paused</span>' in text
    assert 'data-runs=""' in text
    text = shown(client, "?category=other")
    assert ">example</a>" not in text
    assert "None like that" in shown(client, "?category=none")


def test_a_categorys_list_is_there_to_be_edited(client: FlaskClient, house: World) -> None:
    ok(put_jobs(client, {"environment": {"A": "hunter22"}, "retries": 2}))
    text = shown(client, "?category=example")
    (area,) = re.findall(r'<textarea name="jobs"[^>]*>\n(.*?)</textarea>', text, re.S)
    listed = json.loads(unescape(area))
    assert listed == [
        {"name": "a", "schedule": "@daily", "command": "true", "retries": 2,
         "environment": {"A": "********"}}
    ]  # fmt: skip
    listed[0]["environment"] = {"A": "b"}
    made = ok(client.put("/api/category/example", json={"category": "example", "jobs": listed}))
    assert made["changed"] == ["a"]


def test_a_job(client: FlaskClient, house: World) -> None:
    text = shown(client, f"{JOB}/")
    assert "Every minute from 2013-05-29 00:00:00 UTC" in text
    assert text.count("UTC") > 1
    assert f"/api/runs/?job_id={JOB}&amp;per_page=200" in text
    assert f'data-runs="{JOB}"' in text
    assert "There is no" in shown(client, f"{RUN}/", 404)


def test_a_run_that_goes_on_is_followed(client: FlaskClient, house: World) -> None:
    text = shown(client, f"runs/{RUN}/")
    assert f'data-follow="/api/runs/{RUN}/output/?follow=1' in text
    took = {"started_at": START, "finished_at": START + timedelta(seconds=1.5)}
    change(house, status=RunStatus.FAILED, exit_code=7, reason=EVIL, instance="w1", **took)
    with house.store.writing() as tx:
        tx.add_run_events([RunEvent(RUN, START, "failed", "exit code 7")])
        tx.save_outputs([RunOutput(RUN, START, 12, EVIL.encode())])
    text = shown(client, f"runs/{RUN}/")
    assert "data-follow" not in text
    assert EVIL not in text
    assert text.count("&lt;script&gt;alert(1)") == 3
    for said in ("after 1.5 s", "code 7", "exit code 7", ">failed</span>"):
        assert said in text
    assert "There is no" in shown(client, f"runs/{JOB}/", 404)


def test_from_a_run_to_its_instance_and_its_log(house: World) -> None:
    put(house, "w1")
    here = replace(HERE, run_log_url="https://logs.example/?run={run_id}")
    app = create_app(Settings(branch="b1"), house.over(house.store, here))
    with app.test_client() as client:
        put_a_job(client, house)
        change(house, instance="w1", host="h1", branch="b1")
        text = shown(client, f"runs/{RUN}/")
        assert 'href="/admin/instances/foo/w1/"' in text
        assert 'href="/foo/instances/w1/log/"' in text
        assert f'href="https://logs.example/?run={RUN}"' in text
        assert 'href="/admin/branches/b1/"' in text
        change(house, instance="cyme-runner-7")
        assert "cyme-runner-7" in shown(client, f"runs/{RUN}/")


def test_runs_and_failures(client: FlaskClient, house: World) -> None:
    assert RUN in shown(client, "runs/")
    assert "None like that" in shown(client, "runs/?status=failed,timed_out,lost")
    change(house, status=RunStatus.LOST, finished_at=START, reason="its host is gone")
    text = shown(client, "runs/?status=failed,timed_out,lost&category=example")
    assert "its host is gone" in text
    assert "None like that" in shown(client, "runs/?category=none")
    assert 'name="job_id"' in shown(client, f"runs/?job_id={JOB}")
    assert "is none" in shown(client, "runs/?status=x")


def test_what_needs_somebody_is_first(client: FlaskClient, house: World) -> None:
    change(house, status=RunStatus.FAILED, finished_at=START, exit_code=3)
    for page in ("/admin/", "/admin/jobs/", f"/admin/jobs/{JOB}/"):
        assert "failed: exit code 3" in client.get(page).get_data(as_text=True)
    change(house, status=RunStatus.SUCCEEDED)
    assert "Jobs that did not run" not in client.get("/admin/").get_data(as_text=True)


def test_where_there_is_nothing_it_says_what_to_do(client: FlaskClient, house: World) -> None:
    ok(client.delete("/api/category/example"))
    change(house, status=RunStatus.SUCCEEDED)
    ok(client.post("/api/runs/prune?keep=0"))
    assert "cyme jobs.apply" in shown(client)
    assert "They come when a" in shown(client, "runs/")
    ok(put_jobs(client, {"routing_key": "slow"}))
    assert "cyme-runner -q slow" in shown(client, f"{JOB}/")


def test_many_jobs_are_in_pages(client: FlaskClient) -> None:
    ok(put_jobs(client, *({"name": f"{number:03}"} for number in range(150))))
    text = shown(client)
    assert (">099<" in text, ">100<" in text, 'rel="next"' in text) == (True, False, True)
    assert ">149<" in shown(client, "?page=2")
    assert len(text) < 150_000
    # Too many to be edited as a text.
    assert "Add a category" in shown(client, "?category=example")
