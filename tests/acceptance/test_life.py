"""An instance from its creation to its end: API, worker and supervisord agree."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.acceptance.celeryside import ask_worker, is_silent, queues, worker_pid
from tests.acceptance.conftest import EMBEDDED, RABBITMQ, either
from tests.acceptance.harness import BranchHost, Program

pytestmark = pytest.mark.timeout(120)
UP = ("STARTING", "RUNNING")
#: For what the broker has no part in.
ON_EITHER = pytest.mark.parametrize(
    "broker", either(EMBEDDED, RABBITMQ), indirect=True, scope="module"
)


@pytest.fixture(scope="module")
def app(host: BranchHost) -> str:
    assert host.post("/foo/", 201)["name"] == "foo"
    return "foo"


def check_up(host: BranchHost, app: str, name: str, most: int = 1, least: int = 1) -> int:
    """The pid on which API, worker and supervisord agree."""
    shown = host.get(f"/{app}/instances/{name}/")
    program = host.programs()[name]
    stats = ask_worker(host, name, "stats")
    assert shown["pid"] == program.pid == stats["pid"]
    assert (shown["state"] in UP, program.state in UP) == (True, True)
    assert (shown["ready"], shown["consuming"], shown["is_enabled"]) == (True, True, True)
    assert (shown["max_concurrency"], shown["min_concurrency"]) == (most, least)
    assert (stats["autoscaler"]["max"], stats["autoscaler"]["min"]) == (most, least)
    assert queues(host, name) == {f"dq.{name}"}
    assert host.mains(name) == [shown["pid"]]
    return program.pid


def check_stopped(host: BranchHost, app: str, name: str) -> None:
    shown = host.get(f"/{app}/instances/{name}/")
    assert (shown["ready"], shown["pid"], shown["is_enabled"]) == (False, None, False)
    assert shown["state"] == host.programs()[name].state == "STOPPED"
    assert is_silent(host, name)
    assert host.mains(name) == []


def test_an_app(host: BranchHost, app: str) -> None:
    shown = host.get("/foo/")
    assert shown["broker"]["transport"] == urlsplit(host.broker).scheme
    assert shown["broker"]["url"] != host.broker
    assert host.get("/foo/", secrets=1)["broker"]["url"] == host.broker
    assert (shown["instances"], host.get("/")) == ([], ["foo"])
    assert host.post("/foo/")["name"] == "foo"
    assert host.get("/nope/", 404)["error"]["code"] == "not_found"


def test_an_instance_with_a_name(host: BranchHost, app: str) -> None:
    made = host.make(app, "w1", max_concurrency=2)
    assert made["branch"] == host.id
    assert check_up(host, app, "w1", 2, 1) == made["pid"]
    assert "w1" in host.get("/foo/instances/")
    assert "w1" in host.get("/foo/")["instances"]


@ON_EITHER
def test_an_instance_without_a_name(host: BranchHost, app: str) -> None:
    made = host.post("/foo/instances/", 201)
    name = made["name"]
    assert len(name) == 36
    assert check_up(host, app, name) == made["pid"]
    assert host.delete(f"/foo/instances/{name}/") == {"ok": "ok"}
    assert host.get(f"/foo/instances/{name}/", 404)["error"]["code"] == "not_found"
    assert name not in host.programs()
    assert name not in host.get("/foo/instances/")
    assert is_silent(host, name)
    assert not (host.root / "instances" / name).exists()


def test_stats_are_the_worker_s_own(host: BranchHost, app: str) -> None:
    shown, own = host.get("/foo/instances/w1/stats/"), ask_worker(host, "w1", "stats")
    assert shown["pid"] == own["pid"] == shown["supervisor"]["pid"] == shown["instance"]["pid"]
    assert set(own) <= set(shown)
    assert shown["autoscaler"] == own["autoscaler"]
    assert shown["supervisor"]["statename"] == host.programs()["w1"].state


def test_scaling_a_running_worker(host: BranchHost, app: str) -> None:
    before = worker_pid(host, "w1")
    assert host.post("/foo/instances/w1/autoscale/", max=4, min=2) == {"max": 4, "min": 2}
    assert check_up(host, app, "w1", 4, 2) == before
    assert host.get("/foo/instances/w1/autoscale/") == {"max": 4, "min": 2}
    refused = host.post("/foo/instances/w1/autoscale/", 400, max=1, min=2)
    assert refused["error"]["code"] == "invalid"
    host.post("/foo/instances/w1/autoscale/", max=1, min=1)
    assert check_up(host, app, "w1") == before


@ON_EITHER
def test_its_log_is_the_end_of_its_file(host: BranchHost, app: str) -> None:
    answer = host.client.get("/foo/instances/w1/log/", params={"bytes": 400})
    file = (host.root / "instances" / "w1" / "worker.log").read_bytes()
    assert answer.content
    assert answer.content in file
    assert f"w1@{host.id} ready." in file.decode()


def test_disabled_and_enabled_again(host: BranchHost, app: str) -> None:
    before = worker_pid(host, "w1")
    assert host.post("/foo/instances/w1/disable/") == {"ok": "ok"}
    check_stopped(host, app, "w1")
    assert host.get("/foo/instances/w1/stats/", 503)["error"]["code"] == "unavailable"
    # It stays so, whatever is stored of it meanwhile, and counts when it is back.
    assert host.post("/foo/instances/w1/autoscale/", max=2, min=1) == {"max": 2, "min": 1}
    check_stopped(host, app, "w1")
    assert host.post("/foo/instances/w1/enable/") == {"ok": "ok"}
    assert check_up(host, app, "w1", 2, 1) != before


def test_a_restart_is_a_new_process(host: BranchHost, app: str) -> None:
    before = worker_pid(host, "w1")
    assert host.post("/foo/instances/w1/restart/") == {"ok": "ok"}
    assert check_up(host, app, "w1", 2, 1) != before


def test_an_app_s_broker_by_its_url(host: BranchHost, app: str) -> None:
    before = worker_pid(host, "w1")
    same = host.post("/foo/", broker=host.broker)
    assert same["restarting"] == []
    assert check_up(host, app, "w1", 2, 1) == before
    assert host.post("/foo/", broker="")["restarting"] == []
    assert check_up(host, app, "w1", 2, 1) == before


def test_an_app_s_broker_by_its_parts(host: BranchHost, app: str) -> None:
    before, url = worker_pid(host, "w1"), urlsplit(host.broker)
    parts: dict[str, Any] = {"hostname": url.hostname, "port": url.port, "transport": url.scheme}
    parts |= {"userid": url.username or "", "password": unquote(url.password or "")}
    same = host.post("/foo/", **parts, virtual_host=unquote(url.path[1:]))
    assert same["restarting"] == []
    assert check_up(host, app, "w1", 2, 1) == before
    host.post("/foo/", broker="")


def test_an_app_moves_to_another_broker(host: BranchHost, app: str, valkey_url: str) -> None:
    assert host.post("/foo/", broker=valkey_url)["restarting"] == ["w1"]
    assert host.post("/foo/start/") == {"ok": "ok"}
    assert host.get("/foo/instances/w1/")["ready"] is True
    moved = ask_worker(host, "w1", "stats", valkey_url)
    assert moved["pid"] == host.pid("w1")
    assert is_silent(host, "w1")
    assert host.post("/foo/", broker="")["restarting"] == ["w1"]
    assert host.post("/foo/start/") == {"ok": "ok"}
    check_up(host, app, "w1", 2, 1)
    assert is_silent(host, "w1", valkey_url)


def test_an_edit_restarts_only_for_what_needs_it(host: BranchHost, app: str) -> None:
    before = worker_pid(host, "w1")
    edited = host.post("/foo/instances/w1/", stop_timeout_s=20)
    assert (edited["restarting"], edited["stop_timeout_s"]) == ([], 20)
    assert check_up(host, app, "w1", 2, 1) == before
    edited = host.post("/foo/instances/w1/", arguments="--prefetch-multiplier=7")
    assert edited["restarting"] == ["w1"]
    host.post("/foo/instances/w1/enable/")
    assert check_up(host, app, "w1", 2, 1) != before


def test_every_way_to_write_a_route(host: BranchHost, app: str) -> None:
    details = host.get("/foo/instances/w1/")
    for path in ("/foo/instances/w1", "/foo/instance/w1/", "/foo/instance/w1"):
        other: dict[str, Any] = host.get(path)
        assert (other["name"], other["pid"]) == ("w1", details["pid"])
    form = host.client.put("/foo/instance/w1/autoscale/", data={"max": "3", "min": "1"})
    assert form.status_code == 405
    form = host.client.post("/foo/instance/w1/autoscale?max=9", data={"max": "3", "min": "1"})
    assert (form.status_code, form.json()) == (200, {"max": 3, "min": 1})
    check_up(host, app, "w1", 3, 1)


def test_deleting_an_app_with_instances(host: BranchHost, app: str) -> None:
    refused = host.delete("/foo/", 409)["error"]
    assert "w1" in refused["message"]
    check_up(host, app, "w1", 3, 1)
    assert host.delete("/foo/", force=1) == {"ok": "ok"}
    host.get("/foo/", 404)
    assert host.get("/") == []
    assert is_silent(host, "w1")
    assert set(host.programs()) <= {"cyme:broker", "cyme:web", "cyme:branch"}
    assert all(program != Program("STOPPED") for program in host.programs().values())


def test_the_branch_says_what_it_is(host: BranchHost) -> None:
    id = host.id
    assert host.get("/branches/") == [id]
    shown = host.get(f"/branches/{id}/")
    assert (shown["id"], shown["port"], shown["is_live"]) == (id, host.port, True)
    assert host.get("/ping/") == {"ok": "pong"}
    assert host.get("/health/")["ok"] is True
