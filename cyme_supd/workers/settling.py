"""How tasks end in a worker with a pool of processes: told and acknowledged in its main one.

A process of the pool asks its URL and is free for the next: the main process
reports how that ended, and acknowledges the task once the broker keeps the
report, those together that ended within a moment. Redis does both in one step.
In pools of another kind the task tells by itself (:mod:`.reports`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery import bootsteps
from celery.concurrency.prefork import TaskPool
from celery.worker import request as celery_request
from celery.worker import state
from celery.worker.consumer.connection import Connection

from cyme_supd.workers.holding import Holding
from cyme_supd.workers.letters import AmqpPost, Ended, RedisPost, Told, letters
from cyme_supd.workers.outgoing import Message

log = logging.getLogger(__name__)

#: Time for the next task to be handed over before the last one is told of.
HAND_OVER_S = 0.001
#: How long one that has ended waits for another to be told of with it, where
#: the worker has tasks at hand anyway.
GATHER_S = 0.02
#: How many are told of together where the worker takes any number of tasks.
MOST = 64
RETRY_S = 1.0
#: How long a worker that ends waits for its broker to keep the last reports.
LAST_S = 5.0

#: In a process of the pool: where the task leaves its report while one is asked for.
_asked: list[tuple[str, Message]] | None = None


def collect(queue: str, report: Message) -> bool:
    """Leave *report* to the main process; False where nobody there would take it."""
    if _asked is None:
        return False
    _asked.append((queue, report))
    return True


def traced(trace: Callable[..., Any], *args: Any) -> Any:
    """Run a task by *trace*; what comes back has the report with it."""
    global _asked
    _asked = []
    try:
        failed, returned, runtime = trace(*args)
        for queue, report in _asked:
            returned = Told(returned, queue, report)
        return failed, returned, runtime
    finally:
        _asked = None


class _Pool:
    """The pool, as one that runs tasks by :func:`traced`."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def apply_async(self, trace: Callable[..., Any], args: Any, **options: Any) -> Any:
        return self._pool.apply_async(traced, args=(trace, *args), **options)


class Request(celery_request.Request):  # type: ignore[misc]
    """A task whose acknowledgement waits for its report to be kept."""

    told: Told | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Celery derives a class for each task, with faster methods that would
        # pass these by.
        for name in ("execute_using_pool", "on_success"):
            setattr(cls, name, getattr(Request, name))

    def execute_using_pool(self, pool: Any, **kwargs: Any) -> Any:
        return super().execute_using_pool(_Pool(pool) if settler.is_open else pool, **kwargs)

    def on_success(self, failed__retval__runtime: Any, **kwargs: Any) -> Any:
        failed, returned, runtime = failed__retval__runtime
        if isinstance(returned, Told):
            self.told, returned = returned, returned.returned
        return super().on_success((failed, returned, runtime), **kwargs)

    def acknowledge(self) -> None:
        if self.told is None or self.acknowledged:
            super().acknowledge()
        else:
            settler.settle(self)

    def acknowledge_now(self) -> None:
        super().acknowledge()

    def is_acknowledged(self) -> None:
        """It was, by the same step that put its report."""
        self.acknowledged = True
        self._message._state = "ACK"


class Settler:
    """Keeps reports until their broker does. Of the main process, and its one thread."""

    def __init__(self) -> None:
        self._consumer: Any = None
        self._post: RedisPost | AmqpPost | None = None
        self._holding: Holding | None = None
        self._waiting: list[Ended] = []
        self._timer: Any = None
        self._is_soon = False

    @property
    def is_open(self) -> bool:
        return self._post is not None

    def open(self, consumer: Any) -> None:
        """Through *consumer*'s connection from now on; what was not kept yet goes again."""
        if consumer.hub is None or not isinstance(consumer.pool, TaskPool):
            return
        self._consumer = consumer
        if self._post is not None:
            self._waiting = [*self._post.unkept(), *self._waiting]
        is_redis = consumer.connection.transport.driver_type == "redis"
        self._post = RedisPost(consumer) if is_redis else AmqpPost(consumer, self._settle)
        self._holding = Holding(consumer)
        self._flush_later(HAND_OVER_S)

    def settle(self, request: Ended) -> None:
        """Report and acknowledge *request* in a moment; at once where the loop runs no more."""
        if self._holding is not None:
            self._holding.ended()
        self._settle(request)

    def _settle(self, request: Ended) -> None:
        self._waiting.append(request)
        if _is_ending():
            self.finish()
        else:
            self._flush_in_time()

    def finish(self) -> None:
        """Have everything kept that waits; what cannot be comes to another worker."""
        if self._post is None:
            return
        try:
            self._flush()
            self._post.wait(LAST_S)
        except Exception as exc:
            log.warning("results are not told, and their tasks given back: %r", exc)

    def _flush_in_time(self) -> None:
        if not self._waiting or self._holding is None:
            return
        # Half of what the worker may hold: the other half is its work meanwhile.
        is_soon = (
            len(self._waiting) >= (self._holding.most // 2 or MOST) or not state.reserved_requests
        )
        if self._timer is None or (is_soon and not self._is_soon):
            self._flush_later(HAND_OVER_S if is_soon else GATHER_S)
            self._is_soon = is_soon

    def _flush_later(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._consumer.hub.call_later(delay_s, self._flush_due)

    def _flush_due(self) -> None:
        self._timer = None
        try:
            self._flush()
        except Exception as exc:
            # The consumer finds out by itself, and connects again.
            log.warning("results are kept back: %r", exc)
            self._flush_later(RETRY_S)
            self._is_soon = True

    def _flush(self) -> None:
        if self._waiting and self._post is not None:
            self._post.put(letters(self._waiting))
            self._waiting = []


def _is_ending() -> bool:
    return state.should_stop is not None or state.should_terminate is not None


settler = Settler()


class Settling(bootsteps.StartStopStep):  # type: ignore[misc]
    """Opens the settler whenever the worker has connected."""

    requires = (Connection,)

    def start(self, consumer: Any) -> None:
        settler.open(consumer)

    def stop(self, consumer: Any) -> None:
        if _is_ending():
            settler.finish()
