"""An application that is tracked, its worker and a monitor, as real as can be."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from celery import Celery, chain, chord, group
from celery.result import AsyncResult
from kombu import Connection

from cyme_supd.clock import SystemClock
from cyme_supd.domain.ledgerstore import TaskQuery, Tracked
from cyme_supd.domain.ports import Store
from cyme_supd.domain.taskmessage import Redaction
from cyme_supd.domain.tracking import Place, parse_keep
from cyme_supd.monitor.monitor import Monitor
from cyme_supd.tracking import Config
from cyme_supd.workers.backends import CeleryBackends

#: Five kinds of tasks, which tell what became of them by their results.
SHOP = """\
from celery import Celery
from celery.exceptions import Reject
from cyme_supd.tracking import Config

app = Celery("shop")
app.config_from_object(Config(queues=["mail"], result_chord_retry_interval=0.1))


@app.task(name="mail.add")
def add(a, b):
    return a + b


@app.task(name="mail.total")
def total(parts):
    return sum(parts)


@app.task(name="mail.fails")
def fails(password):
    raise ValueError("no such address")


@app.task(name="mail.again", bind=True, max_retries=5)
def again(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return self.request.retries
"""


def shop(broker: str, backend: str, **settings: Any) -> Celery:
    app = Celery("shop", set_as_current=False)
    settings |= {"broker_url": broker, "result_backend": backend}
    app.config_from_object(Config(queues=["mail"], **settings))
    return app


def publish(app: Celery, rounds: int = 1) -> list[str]:
    """One of each kind, *rounds* times; the ids of all that was published here."""
    add, total = app.signature("mail.add"), app.signature("mail.total")
    found: list[str] = []
    for number in range(rounds):
        several = [add.clone((n, number)) for n in range(2)]
        found += _ids(chain(add.clone((1, 2)), add.clone((3,)))())
        found += _ids(group(several, app=app)())
        found += _ids(chord(several, total, app=app)())
        found.append(app.send_task("mail.again").id)
        found.append(app.send_task("mail.fails", kwargs={"password": "hunter2"}).id)
        found.append(app.send_task("mail.add", (0, 1), countdown=0.3).id)
        found.append(app.send_task("mail.add", (0, 0), countdown=1).id)
        app.control.revoke(found[-1])
    return found


def _ids(result: Any) -> list[str]:
    found, left = [], [result]
    while left:
        each = left.pop()
        if isinstance(each, AsyncResult):
            found.append(str(each.id))
        else:
            left += each.results
        if each.parent is not None:
            left.append(each.parent)
    return found


def start_worker(
    place: Path, broker: str, backend: str, *words: str, **environment: str
) -> subprocess.Popen[bytes]:
    (place / "shop.py").write_text(SHOP)
    command = [sys.executable, "-m", "celery", "-A", "shop", "worker", "-P", "solo", *words]
    own = {"CELERY_BROKER_URL": broker, "CELERY_RESULT_BACKEND": backend, **environment}
    with (place / "worker.log").open("ab") as log:
        return subprocess.Popen(
            [*command, "--without-gossip", "--without-mingle"],
            cwd=place,
            env={**os.environ, **own},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def forget(url: str) -> None:
    """Have nothing left of it at that broker."""
    if url.startswith("redis"):
        with redis.Redis.from_url(url) as client:
            client.flushall()
        return
    with Connection(url) as connection:
        channel = connection.default_channel
        for name in ("mail", "celery", "platform.fifo"):
            channel.queue_delete(name)
        for name in ("cyme.events.platform.fifo", "cyme.events.platform.fifo.run"):
            channel.queue_delete(name)
        channel.exchange_delete("task_exchange")


@contextmanager
def worker(place: Path, broker: str, backend: str, *words: str) -> Iterator[Any]:
    process = start_worker(place, broker, backend, *words)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def monitor(store: Store, *places: Place, owner: str = "m1") -> Iterator[Monitor]:
    made = Monitor(
        store,
        owner,
        lambda: places,
        CeleryBackends(),
        lambda broker, queue: 0,
        SystemClock(),
        Redaction(),
        parse_keep([]),
        3600.0,
        beat=lambda name: None,
        retire=lambda name: None,
    )
    made.use(places)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def known(store: Store) -> dict[str, Tracked]:
    with store.reading() as view:
        return {each.record.id: each for each in view.tracked(TaskQuery(limit=1000)).tasks}
