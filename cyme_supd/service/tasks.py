"""Use-cases of tasks: URLs that are queued, and what became of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.declaration import defaults
from cyme_supd.domain.naming import DIRECT_PREFIX, check_name, check_queue_name
from cyme_supd.domain.ports import View
from cyme_supd.domain.spec import App, Queue
from cyme_supd.domain.status import Branch
from cyme_supd.domain.target import check_url
from cyme_supd.domain.task import (
    MAX_BATCH,
    TaskState,
    UrlRequest,
    given_at,
    new_id,
    results_queue,
)
from cyme_supd.errors import Invalid, NotFound, Timeout, Unavailable, Unimplemented
from cyme_supd.service.brokers import broker_of_queue
from cyme_supd.service.context import Context
from cyme_supd.service.looking import branch_or_none, check_alive, instance_of
from cyme_supd.service.observed import why_broker_down

POLL_S = 0.02
#: Result backends are asked less often: each time is a round trip.
BACKEND_POLL_S = 0.2
_RANDOM_BYTES = 5


class NotQueuedHere(NotFound):
    """Another branch may have queued it."""


@dataclass(frozen=True, slots=True)
class TaskView:
    """How far a task is; ``result`` and ``error`` are ``None`` until it has ended."""

    state: str
    result: Any = None
    error: str | None = None

    @property
    def has_ended(self) -> bool:
        return self.state in ("SUCCESS", "FAILURE", "REVOKED", "REJECTED", "IGNORED")


@dataclass(frozen=True, slots=True)
class _Route:
    """Where a queue's requests go, as it was stored at one moment."""

    queue: Queue
    broker: str
    key: str
    branch: Branch | None


@dataclass(slots=True)
class _Routes:
    """Routes read since the store last changed: for every request to read its
    queue anew would cost more than to queue it."""

    version: int | None = None
    known: dict[tuple[str, str], _Route] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Tasks:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._routes = _Routes()

    # Queueing

    def queue(self, app: str, queue: str, request: UrlRequest) -> str:
        """The id of the task that was made of it.

        Raises ``Invalid`` for a target that must not be requested and
        ``Unavailable`` where the broker did not take it: then it is not queued.
        """
        route = self._route(app, queue)
        check_url(self._context.here.targets, request.url)
        return self._publish(route, [request])[0]

    def queue_all(self, app: str, queue: str, requests: Sequence[UrlRequest]) -> list[str]:
        """The ids of the tasks, in order; all are queued or none."""
        if len(requests) > MAX_BATCH:
            raise Invalid(f"more than {MAX_BATCH} URLs at once", "send them in parts")
        route = self._route(app, queue)
        for index, request in enumerate(requests):
            try:
                check_url(self._context.here.targets, request.url)
            except Invalid as exc:
                raise Invalid(f"[{index}] {exc.message}", exc.hint) from None
        return self._publish(route, requests)

    def _publish(self, route: _Route, requests: Sequence[UrlRequest]) -> list[str]:
        here, now = self._context.here, self._context.clock.now()
        down = why_broker_down(route.branch, route.key, now)
        if down:
            raise Unavailable(f"nothing is queued: {down}", "ask again")
        given = [(self._new_id(route.queue.app), request) for request in requests]
        if given:
            reply_to = results_queue(here.id)
            self._context.publisher.publish(route.broker, route.queue, given, reply_to)
        return [id for id, _ in given]

    def _new_id(self, app: str) -> str:
        here, now = self._context.here, self._context.clock.now()
        return new_id(here.task_key, app, now, os.urandom(_RANDOM_BYTES))

    def _route(self, app: str, queue: str) -> _Route:
        # Asked before reading: what is committed in between is seen next time.
        version = self._context.store.version()
        routes = self._routes
        with routes.lock:
            if routes.version != version:
                routes.version = version
                routes.known = {}
            known = routes.known
        route = known.get((app, queue))
        if route is None:
            route = known[app, queue] = self._read_route(app, queue)
        return route

    def _read_route(self, app: str, name: str) -> _Route:
        check_name("app", app)
        check_queue_name("queue", name)
        here = self._context.here
        with self._context.store.reading() as view:
            owner = view.app(app)
            check_alive(owner)
            _check_bundled(owner)
            queue = self._declared(view, app, name)
            broker = broker_of_queue(view, owner, name, here)
            branch = branch_or_none(view, here.id)
        return _Route(queue, broker, parse_broker(broker).key, branch)

    def _declared(self, view: View, app: str, name: str) -> Queue:
        if not name.startswith(DIRECT_PREFIX):
            return view.queue(app, name)
        # An instance's own queue is declared by its being there, or on another branch.
        instance = name.removeprefix(DIRECT_PREFIX)
        try:
            here = instance_of(view, app, instance)
        except NotFound:
            there = self._context.fleet.find(instance)
            if there is None or there.app != app:
                raise
            return Queue(app=app, name=name, created_at=self._context.clock.now(), **defaults(name))
        check_alive(here)
        return Queue(app=app, name=name, created_at=here.created_at, **defaults(name))

    # Asking

    def get(self, app: str, id: str) -> TaskView:
        """Raises ``NotQueuedHere`` for an id that this branch never gave, and
        ``NotFound`` for one so old that nobody knows any more."""
        check_name("app", app)
        with self._context.store.reading() as view:
            owner = view.app(app)
            task = view.task(id)
        if owner.celery_app is not None:
            return self._from_backend(owner, id)
        if task is not None and task.app == app:
            return TaskView(str(task.state), task.result, task.error)
        self._check_given(app, id)
        return TaskView(str(TaskState.PENDING))

    def wait(self, app: str, id: str, timeout_s: float) -> TaskView:
        """The same once it has ended; ``Timeout`` where it has not by then."""
        clock, waits = self._context.clock, self._context.waits
        deadline = clock.monotonic() + timeout_s
        with waits.slot() as is_free:
            if not is_free:
                raise Unavailable("too many requests are waiting already", "ask again")
            for seen in self._looks(app, id):
                if seen.has_ended:
                    return seen
                left = deadline - clock.monotonic()
                if left <= 0:
                    raise Timeout(f"the task has not ended after {timeout_s:g} s", "ask again")
                waits.check_stopping()
                clock.sleep(min(POLL_S, left))
        raise AssertionError("looks do not end")

    def _looks(self, app: str, id: str) -> Iterator[TaskView]:
        """How far it is, over and over; looked up again when something has changed."""
        store, clock = self._context.store, self._context.clock
        version, seen, at = store.version(), self.get(app, id), clock.monotonic()
        while True:
            yield seen
            current = store.version()
            # What an app keeps elsewhere changes without a word to our store.
            if current != version or clock.monotonic() - at >= BACKEND_POLL_S:
                version, seen, at = current, self.get(app, id), clock.monotonic()

    def _from_backend(self, owner: App, id: str) -> TaskView:
        if not owner.result_backend:
            raise Unimplemented(
                f"where app {owner.name!r} keeps its results is not known",
                "set its result_backend",
            )
        return TaskView(*self._context.backends.look(owner.result_backend, id))

    def _check_given(self, app: str, id: str) -> None:
        here = self._context.here
        at = given_at(here.task_key, app, id)
        if at is None:
            raise NotQueuedHere(f"no task {id[:60]!r} was queued here for app {app!r}")
        if self._context.clock.now() - at > timedelta(seconds=here.results_expire_s):
            raise NotFound(
                f"it is not known any more how task {id} ended",
                f"results are kept for {here.results_expire_s:g} s",
            )


def _check_bundled(app: App) -> None:
    if app.celery_app is not None:
        raise Unimplemented(
            f"the workers of app {app.name!r} run {app.celery_app}, which knows no URLs",
            "queue URLs to an app without celery_app",
        )
