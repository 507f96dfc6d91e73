"""The workers' side: what they say themselves, and a project of the tests' own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from celery import Celery
from kombu import Connection, Consumer, Producer, pools
from kombu.pidbox import Mailbox

from tests.acceptance.harness import BranchHost, plain_environment

ANSWER_S = 10.0
#: How long one that should be silent is listened for.
SILENCE_S = 0.5

PROJECT = '''\
"""A project as its owner wrote it, with a broker of its own that is dead."""

import os
import time

from celery import Celery

app = Celery("house")
app.conf.broker_url = "redis://127.0.0.1:1/0"
app.conf.task_ignore_result = True


def note(path, text):
    with open(path, "a") as file:
        file.write(text + "\\n")


@app.task
def write(path, text):
    note(path, text)


@app.task(ignore_result=False)
def add(left, right):
    return left + right


@app.task(bind=True)
def sign(self, path, text):
    note(path, f"{self.request.hostname.partition('@')[0]} {text}")


@app.task
def look(path, variable):
    note(path, f"{os.getcwd()} {os.environ.get(variable)}")


@app.task
def work(path, seconds):
    note(path, "begun")
    time.sleep(seconds)
    note(path, "done")


@app.task
def hold(path):
    note(path, "begun")
    while not os.path.exists(path + ".go"):
        time.sleep(0.05)
    note(path, "done")


@app.task
def leave_a_child(path, seconds):
    os.system(f"setsid sleep {seconds} & echo $! >> {path}")
    note(path, "left")
    time.sleep(seconds)
'''

PRODUCER = """\
import sys

from house import app

form, task, queue, *words = sys.argv[1:]
words = [int(word) if word.isdigit() else word for word in words]
where = {"queue": queue} if form == "queue" else {"exchange": queue, "routing_key": queue}
print(app.send_task(f"house.{task}", words, **where).id)
"""


@contextmanager
def asking(broker: str) -> Iterator[Celery]:
    """A Celery app that knows nothing but where the broker is."""
    app = Celery("asking", broker=broker, set_as_current=False)
    app.conf.update(broker_connection_timeout=4, broker_connection_retry=False)
    try:
        yield app
    finally:
        app.close()
        # kombu keeps connections for the next who asks; by then the broker
        # may have been another process.
        pools.reset()


def ask_worker(
    host: BranchHost,
    instance: str,
    command: str,
    broker: str | None = None,
    timeout_s: float = ANSWER_S,
) -> Any:
    """The worker's own answer to a command of remote control; None when it is silent.

    It is asked again: what is asked before its mailbox is bound is lost.
    """
    name, deadline = f"{instance}@{host.id}", time.monotonic() + timeout_s
    with asking(broker or host.broker) as app:
        inspect = app.control.inspect([name], timeout=SILENCE_S)
        while True:
            answers = getattr(inspect, command)() or {}
            if name in answers or time.monotonic() >= deadline:
                return answers.get(name)


class Asker:
    """Asks one worker the same thing without ever waiting, and keeps what it answers.

    What :func:`ask_worker` asks too early is lost, and so is an answer that
    comes late: of a worker that is about to start it may miss the first.
    """

    def __init__(self, connection: Connection, node: str, command: str) -> None:
        mailbox = Mailbox("celery", type="fanout")
        self.answers: list[Any] = []
        self._node, self._command = node, command
        self._connection = connection
        self._producer = Producer(connection.channel())
        self._exchange, self._replies = mailbox.exchange, mailbox.reply_exchange
        self._address = uuid4().hex
        queue = mailbox(connection).get_reply_queue()
        queue.name, queue.routing_key = self._address, self._address
        self._consumer = Consumer(connection.channel(), [queue], no_ack=True)
        self._consumer.accept = {"application/json"}
        self._consumer.register_callback(self._on_answer)
        self._consumer.consume()

    def ask(self) -> int:
        """Ask once more; how many answers have come so far."""
        self._producer.publish(
            {
                "method": self._command,
                "arguments": {},
                "destination": [self._node],
                "ticket": self._address,
                "reply_to": {"exchange": self._replies.name, "routing_key": self._address},
            },
            exchange=self._exchange,
            declare=[self._exchange],
            serializer="json",
        )
        with suppress(TimeoutError):
            self._connection.drain_events(timeout=0.002)
        return len(self.answers)

    def _on_answer(self, body: Any, _message: Any) -> None:
        self.answers.extend(body.values())


@contextmanager
def asker(host: BranchHost, instance: str, command: str) -> Iterator[Asker]:
    with Connection(host.broker) as connection:
        yield Asker(connection, f"{instance}@{host.id}", command)


def is_silent(host: BranchHost, instance: str, broker: str | None = None) -> bool:
    return ask_worker(host, instance, "ping", broker, 0) is None


def worker_pid(host: BranchHost, instance: str) -> int:
    """Whom the broker reaches under the instance's name."""
    stats = ask_worker(host, instance, "stats")
    assert stats, f"{instance} does not answer"
    return int(stats["pid"])


def queues(host: BranchHost, instance: str) -> set[str]:
    return {queue["name"] for queue in ask_worker(host, instance, "active_queues")}


def write_project(folder: Path) -> Path:
    """A folder with the project ``house`` and its producer."""
    folder.mkdir(parents=True)
    (folder / "house.py").write_text(PROJECT)
    (folder / "produce.py").write_text(PRODUCER)
    return folder


def produce(
    project: Path, broker: str, task: str, queue: str, *words: object, form: str = "queue"
) -> str:
    """Send a task as the project's own people do, told only where the broker is: its id.

    With *form* ``queue`` by the queue's name alone: Celery then declares it
    with its own defaults. With ``exchange`` by exchange and routing key.
    """
    done = subprocess.run(
        [sys.executable, "produce.py", form, task, queue, *map(str, words)],
        cwd=project,
        env={**plain_environment(), "CELERY_BROKER_URL": broker},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def release(path: Path) -> None:
    """Let the task ``hold`` end that was given this path."""
    path.with_name(f"{path.name}.go").touch()


def has_queue(broker: str, name: str) -> bool:
    """Whether the broker holds anything for a queue of this name."""
    with asking(broker) as app, app.connection_for_write() as connection:
        if broker.startswith("redis"):
            return bool(connection.default_channel.client.keys(f"*{name}"))
        channel = connection.channel()
        try:
            channel.queue_declare(name, passive=True)
        except connection.channel_errors:
            return False
        channel.close()
        return True


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if os.path.exists(path) else []
