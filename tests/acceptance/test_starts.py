"""Starts that fail, that are slow, and that nobody waits for."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.celeryside import ask_worker, is_silent, worker_pid
from tests.acceptance.harness import BranchHost
from tests.support import eventually

pytestmark = pytest.mark.timeout(120)
AT_ONCE_S = 1.0


@pytest.fixture(scope="module")
def host() -> Iterator[BranchHost]:
    with BranchHost() as host:
        host.start()
        host.post("/foo/", 201)
        yield host


def test_an_app_that_is_not_there(host: BranchHost, project: Path) -> None:
    host.post("/house/", 201, celery_app="no_such_house:app", directory=str(project))
    error = host.post("/house/instances/w1/", 502)["error"]
    assert error["code"] == "spawn_failed"
    assert "no_such_house" in error["message"]
    shown = host.get("/house/instances/w1/")
    assert (shown["ready"], shown["is_enabled"]) == (False, True)
    looping = [one for one in shown["conditions"] if one["type"] == "CrashLooping"]
    assert [one["status"] for one in looping] == [True]
    # An edit is all it takes.
    host.post("/house/", celery_app="house:app")
    eventually(lambda: host.is_ready("house", "w1"), 30)
    shown = host.get("/house/instances/w1/")
    assert shown["pid"] == host.pid("w1") == worker_pid(host, "w1")
    assert "CrashLooping" not in [one["type"] for one in shown["conditions"]]
    assert "house.write" in ask_worker(host, "w1", "registered")


def test_an_argument_that_celery_does_not_know(host: BranchHost) -> None:
    error = host.post("/foo/instances/typo/", 502, arguments="--no-such-flag")["error"]
    assert "no-such-flag" in error["message"]
    assert host.delete("/foo/instances/typo/") == {"ok": "ok"}
    assert "typo" not in host.programs()


def test_a_folder_that_is_not_there(host: BranchHost, tmp_path: Path) -> None:
    host.post("/lost/", 201, directory=str(tmp_path / "no"), celery_app="house:app")
    error = host.post("/lost/instances/lost1/", 502)["error"]
    assert str(tmp_path / "no") in error["message"]
    assert host.delete("/lost/", force=1) == {"ok": "ok"}


def test_too_short_a_timeout(host: BranchHost) -> None:
    error = host.post("/foo/instances/slow/?timeout=0.05", 408)["error"]
    assert error["code"] == "timeout"
    assert "slow" in error["message"]
    eventually(lambda: host.is_ready("foo", "slow"), 20)
    before = worker_pid(host, "slow")
    host.post("/foo/instances/slow/restart/?timeout=0", 408)
    eventually(lambda: host.pid("slow") not in (0, before), 20)
    eventually(lambda: host.is_ready("foo", "slow"), 20)
    host.delete("/foo/instances/slow/", 408, timeout=0.05)
    eventually(lambda: host.client.get("/foo/instances/slow/").status_code == 404, 20)
    assert is_silent(host, "slow")


@pytest.mark.parametrize("value", ["-1", "61", "x", "nan", ""])
def test_timeouts_that_cannot_be(value: str, host: BranchHost) -> None:
    answer = host.client.post("/foo/start/", params={"timeout": value})
    assert answer.status_code == (200 if value == "" else 400), answer.text


def test_nobody_waits(host: BranchHost) -> None:
    def send(method: str, path: str) -> str:
        begun = time.monotonic()
        answer = host.client.request(method, path)
        assert answer.status_code == 202, answer.text
        assert time.monotonic() - begun < AT_ONCE_S
        return str(json.loads(answer.text)["name"])

    assert send("PUT", "/foo/instances/!/now/") == "now"
    unnamed = send("POST", "/foo/instance/!/")
    for name in ("now", unnamed):
        eventually(lambda name=name: host.is_ready("foo", name), 20)
    before = worker_pid(host, "now")
    send("POST", "/foo/instances/!/now/autoscale/?max=2&min=1")
    eventually(lambda: ask_worker(host, "now", "stats")["autoscaler"]["max"] == 2)
    send("POST", "/foo/instances/!/now/restart/")
    eventually(lambda: host.pid("now") not in (0, before), 20)
    eventually(lambda: host.is_ready("foo", "now"), 20)
    send("POST", "/foo/instances/!/now/disable/")
    eventually(lambda: host.programs()["now"].state == "STOPPED", 20)
    send("DELETE", f"/foo/instances/!/{unnamed}/")
    send("DELETE", "/instances/!/now/")
    eventually(lambda: host.get("/foo/instances/") == [], 20)
    assert host.get("/foo/instances/!/now/", 501)["error"]["code"] == "not_implemented"


def test_a_name_that_is_taken(host: BranchHost) -> None:
    host.post("/bar/", 201)
    host.make("bar", "mine")
    before = worker_pid(host, "mine")
    assert host.post("/foo/instances/mine/", 409)["error"]["code"] == "conflict"
    host.get("/foo/instances/mine/", 404)
    assert worker_pid(host, "mine") == before


def test_names_that_are_programs_of_the_tree(host: BranchHost) -> None:
    """Sections of one name are merged: these workers and those programs are apart."""
    host.post("/names/", 201)
    for name in ("broker", "web", "branch"):
        host.make("names", name)
        assert host.pid(name) == worker_pid(host, name) != host.pid(f"cyme:{name}")
    assert host.delete("/names/", force=1) == {"ok": "ok"}
    assert all(host.pid(f"cyme:{name}") for name in ("broker", "web", "branch"))


def test_a_kill_by_force(host: BranchHost) -> None:
    host.make("foo", "doomed", stop_timeout_s=60)
    begun = time.monotonic()
    assert host.delete("/foo/instances/doomed/", force=1) == {"ok": "ok"}
    assert time.monotonic() - begun < AT_ONCE_S
    assert is_silent(host, "doomed")
