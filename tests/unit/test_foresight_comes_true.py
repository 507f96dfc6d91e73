"""What is foreseen is what the reconciler then does, to the word."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from typing import Any

import pytest

from cyme_supd.domain.foresight import foresee, given
from cyme_supd.domain.pause import Pause, in_force
from cyme_supd.domain.recall import Files, recalled
from cyme_supd.domain.spec import Queue
from cyme_supd.domain.status import ProcessState
from tests.unit.played_host import Host, with_one_ready
from tests.unit.values import AT, the_launch

TASKS = Queue("foo", "tasks", "tasks", "direct", "tasks", {}, AT)
MAIL = Queue("foo", "mail", "mail", "direct", "mail", {}, AT)
#: The log's words for what is one word in a plan.
LOGGED = {
    "write launch file": "write",
    "apply program": "apply",
    "consume_from": "consume",
}
LINE = re.compile(r"w1: (write launch file|apply program|\w+)(?: [^(]*)?\((.*)\)")


@pytest.fixture
def host() -> Host:
    """One that is ready, and consumes from ``tasks``."""
    host = with_one_ready()
    with host.store.writing() as tx:
        tx.add_queue(TASKS)
        tx.add_queue(MAIL)
    host.edit(queues=("tasks",))
    settle(host)
    return host


def settle(host: Host) -> None:
    """Look until nothing is done any more; what was asked for happens meanwhile."""
    known = host.programs.pid("w1")
    for _ in range(12):
        host.clock.sleep(1)
        host.hint()
        if "w1" not in host.programs.processes():
            return
        host.look()
        if host.state() is ProcessState.STOPPING:
            host.programs.end("w1")
        elif host.state() in (ProcessState.STARTING, ProcessState.RUNNING):
            pid = host.programs.pid("w1")
            if pid != known:
                host.launches.launched("w1", pid)
            known = pid
            worker = host.worker()
            host.remote.says(worker, pid, queues=given(in_force(worker, AT)))


def foreseen(host: Host) -> list[tuple[str, str]]:
    """By what is stored, as whoever does not act sees it."""
    stored, status = host.worker(), host.status()
    wanted, worker = the_launch(stored), in_force(stored, AT)
    running = host.launches.running("w1", status.pid) if status.pid else None
    files = Files(host.launches.written("w1"), host.launches.queues("w1"), running)
    steps = foresee(worker, wanted, recalled(worker, worker, status, files))
    return [(step.action, step.reason) for step in steps]


def done(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """What the branch says that it did; a stop and the start after it are a restart."""
    found: list[tuple[str, str]] = []
    for record in caplog.records:
        if record.getMessage() == "w1: forgotten":
            found.append(("forget", "deleted"))
        if record.name != "cyme_supd.branch.actor":
            continue
        line = LINE.fullmatch(record.getMessage())
        assert line is not None, record.getMessage()
        word, reason = LOGGED.get(line[1], line[1]), line[2]
        if word == "start" and found and found[-1][0] == "stop":
            found[-1] = ("restart", found[-1][1])
        else:
            found.append((word, reason))
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {"restarts": 1},
        {"arguments": ("-O", "fair"), "max_concurrency": 3},
        {"pool": "threads"},
        {"max_concurrency": 3},
        {"queues": ("mail",)},
        {"queues": ()},
        {"queues": ("tasks", "mail"), "max_concurrency": 2},
        {"is_enabled": False},
        {"is_enabled": False, "queues": ("mail",)},
        {"is_deleting": True},
        {"is_deleting": True, "is_forced": True},
        {"broker": "amqp://guest:guest@127.0.0.1:5672//"},
    ],
)
def test_of_an_edit(host: Host, changes: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    assert foreseen(host) == []
    host.edit(**changes)
    expected = foreseen(host)
    assert expected
    caplog.set_level(logging.INFO, "cyme_supd.branch")
    settle(host)
    assert done(caplog) == expected
    if "w1" in host.programs.processes():
        assert foreseen(host) == []


@pytest.mark.parametrize("state", [ProcessState.FATAL, ProcessState.BACKOFF, None])
def test_of_one_that_is_down(
    host: Host, state: ProcessState | None, caplog: pytest.LogCaptureFixture
) -> None:
    if state is None:
        host.programs.end("w1", 1)
    else:
        host.programs.fail("w1", state)
    host.edit(is_enabled=False)
    settle(host)
    host.edit(is_enabled=True, restarts=1)
    expected = foreseen(host)
    caplog.set_level(logging.INFO, "cyme_supd.branch")
    settle(host)
    assert [word for word, _ in done(caplog)] == [word for word, _ in expected] == [
        "write", "start",
    ]  # fmt: skip


def test_of_a_declaration_and_a_pause(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cyme_supd.branch")
    with host.store.writing() as tx:
        tx.save_queue(replace(TASKS, routing_key="other"))
    expected = foreseen(host)
    settle(host)
    assert done(caplog) == expected
    assert [word for word, _ in expected] == ["write", "restart"]
    for pause, word in ((Pause("lunch", AT), "cancel"), (None, "consume")):
        caplog.clear()
        host.edit(pause=pause)
        expected = foreseen(host)
        assert [word for word, _ in expected] == ["write", word]
        settle(host)
        assert done(caplog) == expected
