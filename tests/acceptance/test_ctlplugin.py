"""``supervisorctl cyme``, as somebody types it who knows supervisorctl."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.acceptance.harness import BranchHost
from tests.support import eventually

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module")
def host() -> Iterator[BranchHost]:
    with BranchHost("--sup-interval", "1") as host:
        host.start()
        host.post("/foo/", 201)
        host.post("/foo/queues/tasks/", 201)
        host.make("foo", "w1", queues=["tasks"])
        yield host


def said(host: BranchHost, *words: str, status: int = 0) -> list[str]:
    done = host.supervisorctl("cyme", *words)
    assert (done.returncode, done.stderr) == (status, ""), done.stdout
    return done.stdout.splitlines()


def test_status(host: BranchHost) -> None:
    (line,) = said(host)
    assert line.split()[0] == "w1"
    assert line.endswith(f"pid {host.pid('w1')}, ready, tasks")
    assert said(host, "status", "w1", "w1") == [line, line]
    assert said(host, "status", "w2", status=1) == ["cyme: w2: there is no such instance"]


def test_disable_and_enable(host: BranchHost) -> None:
    assert said(host, "disable", "w1") == ["w1: disable: done"]
    assert host.mains("w1") == []
    (line,) = said(host, "status")
    assert line.split()[:2] == ["w1", "STOPPED"]
    assert line.endswith("disabled, not ready, tasks")
    why = said(host, "why", "w1")
    assert why[1].startswith("w1: Ready is false since ")
    assert why[1].endswith(": Disabled")

    assert said(host, "enable", "w1") == ["w1: enable: done"]
    assert len(host.mains("w1")) == 1


def test_pause_and_resume(host: BranchHost) -> None:
    assert said(host, "pause", "w1")[0].startswith("w1: pause: ")
    eventually(lambda: any("Paused is true" in line for line in said(host, "why", "w1")), 10)
    assert said(host, "resume", "w1") == ["w1: resume: done"]
    assert not any("Paused" in line for line in said(host, "why", "w1"))


def test_restart_of_several_of_which_one_is_not_there(host: BranchHost) -> None:
    before = host.mains("w1")
    lines = said(host, "restart", "w2", "w1", status=1)
    assert lines == ["cyme: w2: there is no such instance", "w1: restart: done"]
    assert len(host.mains("w1")) == 1
    assert host.mains("w1") != before


@pytest.mark.parametrize("words", [["dance", "w1"], ["pause"], ["why"]])
def test_words_that_it_does_not_know(host: BranchHost, words: list[str]) -> None:
    (line,) = said(host, *words, status=1)
    assert "cyme why NAME" in line


def test_help(host: BranchHost) -> None:
    _of_supervisor_itself, *lines = host.supervisorctl("help", "cyme").stdout.splitlines()
    assert len(lines) == 5
    assert all(line.startswith("cyme ") for line in lines)


def test_a_branch_that_does_not_answer(host: BranchHost) -> None:
    path = host.root / "branch.json"
    kept = path.read_text()
    try:
        path.write_text(json.dumps({**json.loads(kept), "port": 1}))
        (line,) = said(host, status=1)
        assert line.startswith("cyme: no connection to http://127.0.0.1:1: ")
        path.write_text(json.dumps({**json.loads(kept), "has_httpd": False}))
        assert "--without-httpd" in said(host, status=1)[0]
        path.write_text("{}")
        assert "cannot be read" in said(host, status=1)[0]
    finally:
        path.write_text(kept)
