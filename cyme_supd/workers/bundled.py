"""The app that workers run where no app of one's own is named.

One of its tasks sends the HTTP requests that somebody has queued, and tells the
branch that asked how each of them ended; the other runs jobs.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from celery import Celery, Task, bootsteps
from celery.exceptions import Reject
from celery.worker.consumer.tasks import Tasks

from cyme_supd.clock import isoformat
from cyme_supd.domain.orders import JOB_TASK
from cyme_supd.domain.target import Policy
from cyme_supd.domain.task import RESULTS_PREFIX, TASK, TaskState, UrlRequest, bytes_of
from cyme_supd.errors import CymeError, Unavailable
from cyme_supd.runner.task import Lazy
from cyme_supd.workers import granting, settling, taking
from cyme_supd.workers.fetch import FetchFailed, fetch
from cyme_supd.workers.outgoing import Message, as_json
from cyme_supd.workers.reports import Reports


class PutAgain(bootsteps.StartStopStep):  # type: ignore[misc]
    """What the server gave to this worker's predecessor, which was dead already, comes back."""

    # The worker knows its queues then; it takes nothing before all has started.
    requires = (Tasks,)

    def start(self, consumer: Any) -> None:
        # One that is paused now was not when the predecessor took from it.
        names = {*consumer.app.amqp.queues.consume_from, *BOOT_QUEUES}
        with consumer.app.connection_for_read() as connection:
            taking.put_again(connection, sorted(names))


BOOT = json.loads(os.environ.get("CYME_BOOT", "{}"))
BOOT_QUEUES = frozenset(entry["name"] for entry in BOOT.get("queues", ()))

# It would write each task's arguments, in which there are passwords.
logging.getLogger("celery.pool").setLevel(logging.INFO)
taking.install()
app = Celery("cyme", set_as_current=True)
app.steps["consumer"].add(PutAgain)
app.steps["consumer"].add(settling.Settling)
app.steps["consumer"].add(granting.Granting)
app.conf.update(
    accept_content=["json"],
    task_serializer="json",
    result_serializer="json",
    task_acks_late=False,
)

reports = Reports(os.environ.get("CELERY_BROKER_URL", "memory://"))

runner = Lazy(os.environ)


def policy() -> Policy:
    """What the branch said may be requested; without a word, what is always safe."""
    targets = BOOT.get("targets")
    return Policy.of(targets) if targets else Policy()


POLICY = policy()


@app.task(
    name=TASK,
    bind=True,
    ignore_result=True,
    # A worker that is killed leaves the message to the next one: at least once.
    acks_late=True,
    reject_on_worker_lost=True,
    throws=(FetchFailed,),
    Request=settling.Request,
)  # type: ignore[untyped-decorator]
def request(
    self: Task,
    method: str,
    url: str,
    headers: Sequence[Sequence[str]] = (),
    body: str = "",
    encoding: str = "utf-8",
) -> int:
    """Send the request; the status of the answer, whatever it is."""
    try:
        pairs = tuple((str(name), str(value)) for name, value in headers)
        result = fetch(UrlRequest(method, url, pairs, bytes_of(body, encoding)), POLICY)
    except Exception as exc:
        # Whatever it is: who waits for the end of the task hears of it.
        is_told = isinstance(exc, FetchFailed)
        error = str(exc) if is_told else f"the worker failed: {type(exc).__name__}"
        report(self, TaskState.FAILURE, None, error)
        raise
    report(self, TaskState.SUCCESS, result, None)
    return int(result["status_code"])


@app.task(
    name=JOB_TASK,
    bind=True,
    ignore_result=True,
    # As soon as the run is granted, where that can be. Who gets it again before finds
    # the run claimed, or claims it: at most once.
    acks_late=True,
    reject_on_worker_lost=True,
    throws=(CymeError,),
)  # type: ignore[untyped-decorator]
def job(self: Task, order: str) -> str | None:
    """Run a job, if whoever holds the database grants the run to this worker."""
    try:
        return runner.handle(order, partial(granting.granted.tell, self.request.id))
    except Unavailable as exc:
        raise Reject(str(exc), requeue=True) from exc


def report(task: Task, state: TaskState, result: dict[str, Any] | None, error: str | None) -> None:
    """Tell whoever has queued it, or have the main process do so.

    The message is given back where that cannot be.
    """
    reply_to = task.request.reply_to or ""
    if not reply_to.startswith(RESULTS_PREFIX):
        return
    ended = {
        "id": task.request.id,
        "app": task.request.get("cyme_app"),
        "state": str(state),
        "result": result,
        "error": error,
        "at": isoformat(datetime.now(UTC)),
    }
    message = Message(ended["id"], as_json(ended))
    if settling.collect(reply_to, message):
        return
    try:
        reports.send(reply_to, message)
    except CymeError as exc:
        raise Reject(str(exc), requeue=True) from exc
