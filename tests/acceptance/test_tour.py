"""``make tour``, which is the whole getting-started: on each broker, and where it must fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Connection

from docs.tour import readme
from docs.tour.steps import STEPS
from tests import services
from tests.acceptance import processes
from tests.acceptance.celeryside import has_queue
from tests.acceptance.conftest import EMBEDDED, RABBITMQ, either
from tests.acceptance.harness import plain_environment
from tests.support import eventually

pytestmark = pytest.mark.timeout(240)
CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the tour puts everything; at its end nothing may be left of it."""
    # Short: a unix socket's path has 107 bytes.
    with tempfile.TemporaryDirectory(prefix="cy", dir="/tmp") as name:
        yield Path(name)
        assert processes.with_a_foot_in(name) == []
        assert os.listdir(name) == []


@pytest.fixture(params=either(EMBEDDED, RABBITMQ))
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str | None]:
    """A virtual host of the tour's own: it goes nowhere where its queues are taken."""
    if request.param == EMBEDDED:
        yield None
        return
    with services.rabbitmq(tmp_path_factory.mktemp("tour")) as server, server.vhost() as url:
        yield url


def begin(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "docs.tour", *words],
        cwd=CHECKOUT,
        env={**plain_environment(), "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def next_line(tour: subprocess.Popen[str]) -> str:
    assert tour.stdout is not None
    line = tour.stdout.readline()
    if not line:
        raise RuntimeError(f"the tour has ended: {tour.communicate()[1]}")
    return line


def take(folder: Path, *words: str) -> tuple[int, str, str]:
    """The tour's exit status, and what it printed."""
    tour = begin(folder, *words)
    out, err = tour.communicate(timeout=200)
    return tour.returncode, out, err


def test_the_whole_tour(folder: Path, broker: str | None) -> None:
    code, out, err = take(folder, *(["--broker", broker] if broker else []))
    assert (code, err) == (0, "")
    assert len(readme.commands(out)) == len(STEPS) - 1
    assert f"{len(STEPS)} steps" in out.splitlines()[-1]
    if broker:
        assert not has_queue(broker, "tasks")


def test_a_broker_that_is_not_there(folder: Path) -> None:
    code, out, err = take(folder, "--broker", "redis://:hidden@127.0.0.1:1/0")
    assert (code, out) == (1, "")
    assert err.startswith("tour: redis://:********@127.0.0.1:1/0 cannot be reached: ")
    assert len(err.splitlines()) == 1


def test_a_queue_that_is_somebody_s(folder: Path, rabbitmq_url: str) -> None:
    with Connection(rabbitmq_url) as connection:
        channel = connection.channel()
        channel.queue_declare("tasks", durable=True, auto_delete=False)
        try:
            code, out, err = take(folder, "--broker", rabbitmq_url)
        finally:
            channel.queue_delete("tasks")
    assert (code, out) == (1, "")
    assert "has a queue 'tasks' already" in err


def test_a_tour_that_is_broken_off(folder: Path) -> None:
    with begin(folder) as tour:
        eventually(lambda: "/foo/instances/" in next_line(tour), 60)
        tour.send_signal(signal.SIGTERM)
        tour.communicate(timeout=60)
    assert tour.returncode == 128 + signal.SIGTERM
