"""Those beside whom queueing a URL is held: Flower, and Celery's own loop."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery import Celery

from benchmarks import harness, load
from tests import services
from tests.support import eventually

TASK = "peer.fetch"
QUEUE = "peer"

#: ``peer.py``: an app with one task, which nobody runs.
APP = """\
from celery import Celery

app = Celery("peer", broker={broker!r})


@app.task(name={task!r}, ignore_result=True)
def fetch(*args, **kwargs):
    pass
"""


def write_app(directory: Path, broker: str) -> None:
    (directory / "peer.py").write_text(APP.format(broker=broker, task=TASK))


class Flower:
    """Flower as a person starts it, with its API open."""

    def __init__(self, directory: Path) -> None:
        self.port = services.free_port()
        self._output = directory / "flower.out"
        self.process = harness.start(
            [
                *("env", "FLOWER_UNAUTHENTICATED_API=true", harness.celery(), "-A", "peer"),
                *("flower", "--address=127.0.0.1", f"--port={self.port}"),
            ],
            directory,
            self._output,
        )

    def wait_until_up(self) -> None:
        eventually(self._is_up, harness.DEADLINE_S, every_s=0.05)

    def _is_up(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"flower ended: {self._output.read_text()}")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/healthcheck")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def request(self, positional: Sequence[Any], named: Mapping[str, Any]) -> bytes:
        """What queues the task with such arguments."""
        body = json.dumps({"args": positional, "kwargs": named, "queue": QUEUE}).encode()
        path = f"/api/task/async-apply/{TASK}"
        return load.request(self.port, path, body, "application/json")


@contextmanager
def flower(directory: Path) -> Iterator[Flower]:
    """One that answers, for the app in *directory*."""
    running = Flower(directory)
    try:
        running.wait_until_up()
        yield running
    finally:
        harness.end(running.process)


class Loop:
    """A program that has many tasks to queue: a plain app, in this process."""

    def __init__(self, app: Celery) -> None:
        self._task = app.task(name=TASK, ignore_result=True)(_nothing)

    def run(self, positional: Sequence[Any], named: Mapping[str, Any], count: int) -> None:
        for _ in range(count):
            self._task.apply_async(positional, named, queue=QUEUE)


@contextmanager
def loop(broker: str) -> Iterator[Loop]:
    with Celery("peer", broker=broker, set_as_current=False) as app:
        yield Loop(app)


def _nothing(*args: Any, **kwargs: Any) -> None:
    """Nobody runs it."""
