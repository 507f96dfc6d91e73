"""A project whose tasks tell when they begin and end, and how to send it some."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.acceptance.celeryside import asking, lines
from tests.support import eventually

#: By the name of the task: what becomes of one whose process is killed.
TASKS = ("early", "late", "again")

PROJECT = '''\
"""Tasks of each way to acknowledge, and two weaknesses."""

import os
import threading
import time

from celery import Celery
from celery.worker.control import control_command

app = Celery("yard")
app.conf.task_ignore_result = True

if "STARTS" in os.environ:
    with open(os.environ["STARTS"], "a") as file:
        file.write(f"{time.monotonic()}\\n")
if "LIFE_S" in os.environ:
    threading.Timer(float(os.environ["LIFE_S"]), os._exit, (1,)).start()


@control_command()
def go_deaf(state):
    state.consumer.call_soon(state.consumer.task_consumer.cancel)
    return {"ok": "deaf"}


def run(path, mark, seconds):
    note(path, f"begun {mark} {os.getpid()}")
    time.sleep(seconds)
    note(path, f"done {mark} {os.getpid()}")


def note(path, text):
    with open(path, "a") as file:
        file.write(text + "\\n")


@app.task
def early(path, mark, seconds):
    run(path, mark, seconds)


@app.task(acks_late=True)
def late(path, mark, seconds):
    run(path, mark, seconds)


@app.task(acks_late=True, reject_on_worker_lost=True)
def again(path, mark, seconds):
    run(path, mark, seconds)
'''


def write_yard(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "yard.py").write_text(PROJECT)
    return folder


@dataclass
class Work:
    """Tasks that were sent, and what they have noted in *path*."""

    path: Path
    sent: list[str] = field(default_factory=list)

    def send(self, broker: str, queue: str, task: str, count: int, seconds: float) -> list[str]:
        """Send *count* tasks; their marks."""
        marks = [f"{task}-{len(self.sent) + index}" for index in range(count)]
        with asking(broker) as app:
            # What the broker has not confirmed may be lost with it.
            app.conf.broker_transport_options = {"confirm_publish": broker.startswith("amqp")}
            for mark in marks:
                app.send_task(f"yard.{task}", (str(self.path), mark, seconds), queue=queue)
        self.sent += marks
        return marks

    def pid(self, mark: str) -> int | None:
        """The process that has begun the task and not ended it."""
        words = [line.split() for line in lines(self.path)]
        begun = [word[2] for word in words if word[:2] == ["begun", mark]]
        return int(begun[-1]) if begun and not self.done()[mark] else None

    def done(self) -> Counter[str]:
        """How often each has come to its end."""
        words = [line.split() for line in lines(self.path)]
        return Counter(word[1] for word in words if len(word) == 3 and word[0] == "done")

    def lost(self) -> set[str]:
        return set(self.sent) - self.done().keys()

    def again(self) -> set[str]:
        return {mark for mark, count in self.done().items() if count > 1}

    def settle(self, within_s: float) -> None:
        """Until all are done, or no more can be hoped for."""
        try:
            eventually(lambda: not self.lost(), within_s, every_s=0.05)
        except AssertionError:
            return
