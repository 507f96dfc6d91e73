"""A whole branch in memory, for tests of what is built on the client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cyme_supd.client import Client
from cyme_supd.domain.pause import PAUSED, in_force
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import Condition, Status
from cyme_supd.domain.target import Policy
from cyme_supd.domain.task import Task, TaskState, UrlRequest, given_at
from cyme_supd.service import Service, ThisBranch
from cyme_supd.testing.brokers import MemoryBrokerQueues
from cyme_supd.testing.mailbox import MemoryFleet
from cyme_supd.testing.played import (
    SUP_INTERVAL_S,
    Backends,
    Hints,
    Logs,
    PlayedBranch,
    PlayedClock,
    RunLogs,
    the_launch,
)
from cyme_supd.testing.publisher import MemoryPublisher
from cyme_supd.testing.questions import MemoryQuestions
from cyme_supd.testing.store import MemoryStore
from cyme_supd.testing.strays import MemoryStrays
from cyme_supd.testing.taskbroker import MemoryTaskBroker
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

BROKER = "redis://:secret@127.0.0.1:6379/0"
#: Between two requests somebody types, or computes.
BETWEEN_S = 0.2
_TASK_KEY = b"in memory only".ljust(32)


def client(pages: Mapping[str, str] | None = None, secrets: bool = False) -> Client:
    """A client of a branch that is all in memory, and in this thread.

    Requests go through the real web application, and are refused as they
    would be. Nothing is started and no socket opened: workers become what
    they are told to be, within a fifth of a second by a clock that moves only
    while somebody waits. *pages* are what queued URLs answer with, by URL;
    any other is a 404.

    >>> from cyme_supd import testing
    >>> client = testing.client({"http://shop.example/": "Hello"})
    >>> app = client.add("foo")
    >>> tasks = app.queues.add("tasks")
    >>> worker = app.instances.add("w1", queues=[tasks])
    >>> worker.autoscale(max=3)
    {'max': 3, 'min': 1}
    >>> app.send("http://shop.example/", tasks).wait()["result"]["body"]
    'Hello'
    >>> app.instances.get("w2")
    Traceback (most recent call last):
    cyme_supd.errors.NotFound: there is no instance 'w2'
    """
    here = ThisBranch(
        id="memory",
        broker=BROKER,
        is_root=False,
        sup_interval=SUP_INTERVAL_S,
        task_key=_TASK_KEY,
        targets=Policy(is_loopback_allowed=True),
    )
    house = _House(here, pages or {})
    return Client("http://127.0.0.1:8000", secrets=secrets, wsgi=house.wsgi())


class _House:
    def __init__(self, here: ThisBranch, pages: Mapping[str, str]) -> None:
        self._clock = PlayedClock()
        self._store = MemoryStore(here.broker, here.id)
        self._branch = _Branch(self._store, self._clock, here.id)
        self._publisher = MemoryPublisher()
        self._pages = pages
        self._here = here
        self._clock.listeners += [self._branch.run, self._work]
        self._branch.run()

    def wsgi(self) -> WSGIApplication:
        """The web application; time passes between its requests."""
        app = create_app(Settings(self._here.id), self._service())

        def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            self._clock.sleep(BETWEEN_S)
            return app(environ, start_response)

        return call

    def _service(self) -> Service:
        fleet = MemoryFleet(self._clock)
        return Service(
            store=self._store,
            hints=Hints(),
            questions=_Questions(),
            broker_queues=MemoryBrokerQueues(),
            logs=Logs(),
            publisher=self._publisher,
            task_broker=MemoryTaskBroker(),
            backends=Backends(),
            run_logs=RunLogs(),
            strays=MemoryStrays(),
            mailbox=fleet,
            presence=fleet,
            launched=self._branch.launches,
            launch_of=the_launch,
            clock=self._clock,
            here=self._here,
        )

    def _work(self) -> None:
        """What workers do: request what waits in a queue that one consumes from."""
        with self._store.writing() as tx:
            workers = [in_force(one, self._clock.now()) for one in tx.workers(self._here.id)]
            consumed = {queue for one in workers for queue in _queues(one)}
            apps = tx.app_names()
            for (broker, queue), waiting in self._publisher.queued.items():
                if (broker, queue) in consumed:
                    tx.save_tasks([self._done(id, url, apps) for id, url in waiting])
                    waiting.clear()

    def _done(self, id: str, request: UrlRequest, apps: Iterable[str]) -> Task:
        body = self._pages.get(request.url)
        app = next(app for app in apps if given_at(_TASK_KEY, app, id))
        result: dict[str, Any] = {
            "status_code": 404 if body is None else 200,
            "headers": {},
            "body": body or "",
            "encoding": "utf-8",
            "truncated": False,
            "elapsed_s": 0.0,
            "url": request.url,
        }
        return Task(id, app, TaskState.SUCCESS, result, None, self._clock.now())


class _Branch(PlayedBranch):
    """Whose workers let go of what is paused."""

    def status(self, worker: Worker) -> Status:
        now = self.clock.now()
        status, held = super().status(worker), in_force(worker, now).paused
        if not held or status.queues is None:
            return status
        condition = Condition(PAUSED, True, "Paused", "it takes no new work", now)
        left = tuple(name for name in status.queues if name not in held)
        return replace(status, queues=left, consuming=False, conditions=(condition,))


class _Questions(MemoryQuestions):
    """Workers that tell of themselves what Celery's would."""

    def stats(self, worker: Worker, timeout_s: float) -> dict[str, object]:
        spec = worker.instance
        limits = {"max": spec.max_concurrency, "min": spec.min_concurrency}
        return {
            "total": {},
            "pid": 1000 + spec.restarts,
            "pool": {"max-concurrency": spec.max_concurrency},
            "autoscaler": {**limits, "current": spec.min_concurrency},
        }


def _queues(worker: Worker) -> Iterable[tuple[str, str]]:
    names = worker.instance.queues if worker.instance.is_enabled else ()
    return [(worker.broker, name) for name in names if name not in worker.paused]
