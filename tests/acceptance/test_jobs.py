"""A job from the call that makes it to what it printed, by one real branch and one worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.harness import BranchHost
from tests.support import eventually
from tests.unit.test_web_jobs import SEED

WITHIN_S = 60.0
SLOWLY = "echo one; echo two; sleep 2; printf three"
LIST = {"name": "slowly", "schedule": "@yearly", "command": SLOWLY, "routing_key": "slow"}


@pytest.fixture(scope="module")
def host() -> Iterator[BranchHost]:
    with BranchHost("--sup-interval", "1") as host:
        host.start()
        host.post("/foo/", 201)
        host.post("/foo/queues/slow/", 201)
        host.post("/foo/instances/w1/", 201, queues=["slow"], timeout=WITHIN_S)
        yield host


def run_of(host: BranchHost, id: str) -> Any:
    return host.get(f"/api/runs/{id}/")["data"]["run"]


def has_ended(host: BranchHost, id: str, status: str) -> bool:
    found = run_of(host, id)
    assert found["status"] in ("queued", "running", status), found
    return bool(found["status"] == status)


def test_the_seeds_own_job_runs(host: BranchHost) -> None:
    made = host.client.put(
        "/api/category/example", content=SEED, headers={"Content-Type": "application/json"}
    )
    assert made.json()["added"] == ["Test Job"]
    (job,) = host.get("/api/jobs/")["data"]["jobs"]
    run = host.post(f"/api/jobs/{job['id']}/run", 202)["data"]["run"]
    eventually(lambda: has_ended(host, run["id"], "succeeded"), WITHIN_S)
    found = run_of(host, run["id"])
    assert (found["exit_code"], found["instance"]) == (0, "w1")
    assert [each["type"] for each in found["events"]] == ["queued", "starting", "finished"]
    assert host.delete("/api/category/example") == {"ok": "ok"}

    def is_counted() -> bool:
        text = host.client.get("/metrics").text
        return 'cyme_run_events_total{type="finished"} 1.0' in text

    eventually(is_counted, WITHIN_S)


def test_what_it_prints_while_it_prints_it(host: BranchHost) -> None:
    host.post("/api/category/example/", jobs=[LIST])
    (job,) = host.get("/api/jobs/")["data"]["jobs"]
    run = host.post(f"/api/jobs/{job['id']}/run", 202)["data"]["run"]
    eventually(lambda: run_of(host, run["id"])["status"] == "running", WITHIN_S)
    told = []
    where = f"/api/runs/{run['id']}/output?follow=1"
    with host.client.stream("GET", where, timeout=WITHIN_S) as answer:
        for line in answer.iter_lines():
            told.append(line)
            if line == "data: two":
                # Live: it is told while it goes on.
                assert run_of(host, run["id"])["status"] == "running"
    assert told.index("data: two") < told.index("data: three") < told.index("event: end")
    assert "data: succeeded" in told
    whole = host.client.get(f"/api/runs/{run['id']}/output")
    assert (whole.text, whole.headers["Cyme-Output"]) == ("one\ntwo\nthree", "bytes 0-13/13")


def test_one_that_is_cancelled_ends(host: BranchHost) -> None:
    host.post("/api/category/example/", jobs=[{**LIST, "command": "sleep 600"}])
    (job,) = host.get("/api/jobs/")["data"]["jobs"]
    run = host.post(f"/api/jobs/{job['id']}/run", 202)["data"]["run"]
    eventually(lambda: run_of(host, run["id"])["started_at"], WITHIN_S)
    host.post(f"/api/runs/{run['id']}/cancel", 202)
    eventually(lambda: has_ended(host, run["id"], "cancelled"), WITHIN_S)
