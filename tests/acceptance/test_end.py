"""The end of a branch: workers first, the broker last, nothing left behind."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.celeryside import lines, produce, worker_pid
from tests.acceptance.conftest import EMBEDDED, RABBITMQ, either
from tests.acceptance.harness import BranchHost, unique
from tests.support import eventually, still_running

pytestmark = pytest.mark.timeout(120)
STOPPED = re.compile(r"stopped: (\S+) ")
#: For what the broker has no part in.
ON_EITHER = pytest.mark.parametrize(
    "broker", either(EMBEDDED, RABBITMQ), indirect=True, scope="module"
)


@pytest.fixture
def fresh(broker: str | None, project: Path) -> Iterator[BranchHost]:
    """A branch of a test's own, with the app ``house``."""
    with BranchHost(broker=broker) as host:
        host.start()
        host.post("/house/", 201, celery_app="house:app", directory=str(project))
        yield host


def busy(host: BranchHost, project: Path, note: Path, seconds: int) -> str:
    """A new worker that has begun a task of so many seconds."""
    name = unique("busy")
    host.make("house", name)
    produce(project, host.broker, "work", f"dq.{name}", note, seconds)
    eventually(lambda: lines(note) == ["begun"])
    return name


def ended_in(host: BranchHost) -> list[str]:
    """Names of the programs in the order in which they ended."""
    order = STOPPED.findall(host.log())
    # supervisord names the group's own by their process names.
    return [name.rpartition(":")[2] for name in order]


def check_order(host: BranchHost, workers: set[str]) -> None:
    order = ended_in(host)
    first, rest = order[: len(workers)], order[len(workers) :]
    assert set(first) == workers
    assert set(rest[:2]) == {"web", "branch"}
    assert rest[2:] == ([] if host.broker_given else ["broker"])


def ping_while_it_ends(host: BranchHost) -> None:
    eventually(lambda: "still finishing" in host.output.read_text(), 10)
    assert host.get("/ping/") == {"ok": "pong"}


def test_everything_ends_in_order(fresh: BranchHost, project: Path, tmp_path: Path) -> None:
    check_everything_ends(fresh, signal.SIGINT, project, tmp_path)


@ON_EITHER
def test_a_terminal_that_is_closed(fresh: BranchHost, project: Path, tmp_path: Path) -> None:
    check_everything_ends(fresh, signal.SIGHUP, project, tmp_path)


def check_everything_ends(
    fresh: BranchHost, number: signal.Signals, project: Path, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    worker = busy(fresh, project, note, 3)
    fresh.make("house", other := unique("idle"))
    fresh.interrupt(number)
    # The web goes after the workers.
    ping_while_it_ends(fresh)
    assert fresh.wait() == 0
    assert lines(note) == ["begun", "done"]
    check_order(fresh, {worker, other})
    assert still_running(fresh.family) == []
    assert fresh.left_behind() == []


@ON_EITHER
def test_a_second_interrupt_kills(fresh: BranchHost, project: Path, tmp_path: Path) -> None:
    note = tmp_path / "note"
    worker = busy(fresh, project, note, 60)
    fresh.interrupt()
    said = f"still finishing: .*{re.escape(worker)}"
    eventually(lambda: re.search(said, fresh.output.read_text()), 10)
    family = fresh.family
    fresh.interrupt()
    # Killed, not waited for: the task has a minute to go.
    assert fresh.wait(20) == 0
    assert lines(note) == ["begun"]
    assert still_running([*family, *fresh.family]) == []
    assert fresh.left_behind() == []


@pytest.mark.parametrize("broker", [None], ids=["embedded"], scope="module")
def test_started_again_it_has_its_workers_back(fresh: BranchHost) -> None:
    name = unique("w")
    before = fresh.make("house", name, max_concurrency=2)["pid"]
    id, url = fresh.id, fresh.broker
    fresh.interrupt(signal.SIGTERM)
    assert fresh.wait() == 0
    assert fresh.left_behind() == []
    fresh.start()
    eventually(lambda: fresh.is_ready("house", name), 20)
    shown = fresh.get(f"/house/instances/{name}/")
    assert shown["pid"] == fresh.pid(name) == worker_pid(fresh, name) != before
    assert (shown["max_concurrency"], fresh.id, fresh.broker) == (2, id, url)
