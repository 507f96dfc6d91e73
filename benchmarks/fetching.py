"""What fetching URLs is measured with: a server that answers at once, and plain workers."""

from __future__ import annotations

import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from celery import Celery

from benchmarks import answering, harness, peers

TASK = "peer.fetch"

#: ``peer.py``: the same client, asked directly.
APP = """\
import httpcore
from celery import Celery

app = Celery("peer", broker={broker!r}, backend={backend!r})
#: Of the process of the pool that runs the task.
pools = []


@app.task(name={task!r}, ignore_result={ignore_result!r})
def fetch(url):
    if not pools:
        pools.append(httpcore.ConnectionPool())
    answer = pools[0].request("GET", url, headers={{"User-Agent": "peer"}})
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in answer.headers]
    return {{"status_code": answer.status, "headers": headers, "body": answer.content.decode()}}
"""


class Server:
    """One that answers at once, in a process of its own."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, answering.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.url = f"http://127.0.0.1:{self._line().strip()}/x"

    def expect(self, count: int) -> None:
        """Count from nothing."""
        assert self.process.stdin is not None
        print(count, file=self.process.stdin, flush=True)

    def wait(self) -> tuple[float, float]:
        """When the first and the last of the requests came that were to be expected."""
        first, last = map(float, self._line().split())
        return first, last

    def _line(self) -> str:
        assert self.process.stdout is not None
        poll = select.poll()
        poll.register(self.process.stdout, select.POLLIN)
        if not poll.poll(harness.DEADLINE_S * 1000):
            raise TimeoutError("not all of the requests have come")
        return self.process.stdout.readline()


@contextmanager
def server() -> Iterator[Server]:
    running = Server()
    try:
        yield running
    finally:
        harness.end(running.process)
        for stream in (running.process.stdin, running.process.stdout):
            if stream is not None:
                stream.close()


@dataclass(frozen=True)
class Plain:
    """A plain worker on its own queue; *app* queues tasks for it."""

    place: Path
    argv: Sequence[str]
    queue: str
    app: Celery

    def rate(self, server: Server, count: int) -> float:
        """Tasks per second, from the first request until the last."""
        task = self.app.signature(TASK, (server.url,))
        for _ in range(count):
            task.apply_async(queue=self.queue)
        server.expect(count)
        log = self.place / "log"
        process = harness.start(self.argv, self.place, log)
        try:
            first, last = server.wait()
        except TimeoutError as exc:
            exc.add_note(log.read_text()[-4000:])
            raise
        finally:
            harness.end(process)
            log.unlink()
        return count / (last - first)


@contextmanager
def plain(broker: str, backend: str | None, launched: Sequence[str], name: str) -> Iterator[Plain]:
    """With the flags that an instance was *launched* with; results go to *backend*."""
    argv = peers.lean(launched, f"{name}@bench")
    source = APP.format(broker=broker, backend=backend, task=TASK, ignore_result=backend is None)
    with (
        harness.folder() as place,
        Celery("peer", broker=broker, backend=backend, set_as_current=False) as app,
    ):
        (place / "peer.py").write_text(source)
        yield Plain(place, argv, argv[argv.index("-Q") + 1], app)
