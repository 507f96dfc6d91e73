"""What a real branch tells Prometheus, whichever process of its web is asked."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.harness import BranchHost
from tests.support import eventually

pytestmark = pytest.mark.timeout(120)
#: Connections of their own: one process of two serves all of them by a chance of 1 in 2000.
MANY = 12


@pytest.fixture(scope="module")
def host() -> Iterator[BranchHost]:
    with BranchHost() as host:
        yield host.start()


def scrape(host: BranchHost) -> dict[str, Metric]:
    """By a connection of its own, which either process may take."""
    answer = httpx.get(f"http://127.0.0.1:{host.port}/metrics", trust_env=False, timeout=10)
    assert answer.status_code == 200
    return {each.name: each for each in text_string_to_metric_families(answer.text)}


def value(found: dict[str, Metric], sample: str, **labels: str) -> float:
    """The sum of the samples of that name that have these labels."""
    return sum(
        each.value
        for family in found.values()
        for each in family.samples
        if each.name == sample and labels.items() <= each.labels.items()
    )


def test_a_worker_s_life(host: BranchHost) -> None:
    host.post("/shop/", 201)
    host.post("/shop/queues/tasks/", 201)
    host.make("shop", "w1", queues="tasks")
    route = {"method": "POST", "route": "/<app>/instances/<name>/", "status": "201"}

    def is_told(found: dict[str, Metric]) -> bool:
        of_w1 = {"app": "shop", "worker": "w1"}
        return (
            value(found, "cyme_instance_ready", **of_w1) == 1
            and value(
                found, "cyme_instance_condition", condition="Consuming", status="true", **of_w1
            )
            == 1
            and value(found, "cyme_queue_consumers", app="shop", queue="tasks") == 1
            and value(found, "cyme_pass_duration_seconds_count", kind="full") > 0
            and value(found, "cyme_pass_duration_seconds_count", kind="partial") > 0
            and value(found, "cyme_actions_total", kind="start") == 1
            and value(found, "cyme_supervisord_call_duration_seconds_count") > 0
            and value(found, "cyme_broadcast_latency_seconds_count") > 0
            and value(found, "cyme_http_requests_total", **route) == 1
            and value(found, "cyme_branch_live", branch=host.id) == 1
            and value(found, "cyme_brokers", state="up") == 1
        )

    eventually(lambda: is_told(scrape(host)), 30.0)
    # From now on by whichever process.
    assert all(is_told(scrape(host)) for _ in range(MANY))


def test_requests_to_both_processes_are_counted_together(host: BranchHost) -> None:
    route = {"method": "GET", "route": "/ping/", "status": "200"}
    before = value(eventually(lambda: scrape(host)), "cyme_http_requests_total", **route)
    for _ in range(MANY):
        answer = httpx.get(f"http://127.0.0.1:{host.port}/ping/", trust_env=False)
        assert answer.status_code == 200
    eventually(
        lambda: value(scrape(host), "cyme_http_requests_total", **route) == before + MANY, 10.0
    )
    files = [path.name for path in (host.root / "metrics").glob("web-*.json")]
    assert sorted(files) == ["web-0.json", "web-1.json"]


def test_depths_are_asked_now_and_then(host: BranchHost) -> None:
    host.post("/shop/instances/w1/pause/")
    answer = host.client.post("/shop/queue/tasks/http://127.0.0.1:9/")
    assert answer.status_code == 202
    eventually(
        lambda: value(scrape(host), "cyme_queue_messages", app="shop", queue="tasks") == 1, 40.0
    )
    assert value(scrape(host), "cyme_tasks_queued_total", app="shop") == 1
    eventually(lambda: value(scrape(host), "cyme_queue_oldest_seconds", queue="tasks") > 0, 40.0)
    assert host.get("/shop/queues/tasks/")["oldest_s"] > 0
    path = "/api/samples/?app=shop&queue=tasks"
    eventually(lambda: 1 in host.get(path)["data"]["depth"], 40.0)
    assert host.get("/api/samples/?app=shop&instance=w1")["data"]["processes"][-1] == 1
    host.post("/shop/instances/w1/resume/")
    eventually(lambda: value(scrape(host), "cyme_tasks_ended_total", app="shop") == 1, 30.0)


def test_counts_go_on_when_the_branch_is_killed(host: BranchHost) -> None:
    def starts() -> float:
        return value(scrape(host), "cyme_actions_total", kind="start")

    before = starts()
    assert before >= 1
    pid = host.pid("cyme:branch")
    with host.supervisord() as server:
        server.supervisor.signalProcess("cyme:branch", "KILL")
    eventually(lambda: host.pid("cyme:branch") not in (0, pid), 30.0)
    eventually(host.is_up, 30.0)
    assert starts() == before
    host.post("/shop/instances/w1/restart/")
    eventually(lambda: starts() == before + 1, 30.0)


def test_what_it_runs_and_how_it_changed(host: BranchHost) -> None:
    assert host.get("/shop/instances/w1/tasks/") == {"data": {"tasks": []}}
    changes = host.get("/shop/instances/w1/history/")["data"]["changes"]
    assert (changes[0]["ready"], changes[0]["reason"]) == (True, "")
    assert {"STARTING", "RUNNING"} <= {each["state"] for each in changes}
