"""How tasks end in a worker with a pool of processes: told and acknowledged in its main one.

A process of the pool asks its URL and is free for the next: the main process
reports how that ended, and acknowledges the task once the broker keeps the
report, those together that ended within a moment. Redis does both in one step.
In pools of another kind the task tells by itself (:mod:`.reports`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from celery import bootsteps
from celery.concurrency.prefork import TaskPool
from celery.worker import request as celery_request
from celery.worker import state
from celery.worker.consumer.connection import Connection

from cyme_supd.workers import taking
from cyme_supd.workers.outgoing import JSON, Message, prepared_for

log = logging.getLogger(__name__)

#: Time for the next task to be handed over before the last one is told of.
GATHER_S = 0.001
RETRY_S = 1.0
#: How long a worker that ends waits for its broker to keep the last reports.
LAST_S = 5.0


@dataclass(frozen=True, slots=True)
class Told:
    """What the task returned, and what is to be put into which queue about it."""

    returned: Any
    queue: str
    report: Message


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
        self._way: _Redis | _Amqp | None = None
        self._waiting: list[Request] = []
        self._is_due = False

    @property
    def is_open(self) -> bool:
        return self._way is not None

    def open(self, consumer: Any) -> None:
        """Through *consumer*'s connection from now on; what was not kept yet goes again."""
        if consumer.hub is None or not isinstance(consumer.pool, TaskPool):
            return
        self._consumer = consumer
        if self._way is not None:
            self._waiting = [*self._way.unkept(), *self._waiting]
        is_redis = consumer.connection.transport.driver_type == "redis"
        self._way = _Redis(consumer) if is_redis else _Amqp(consumer, self.settle)
        self._is_due = False
        self._flush_later(GATHER_S)

    def settle(self, request: Request) -> None:
        """Report and acknowledge *request* in a moment; at once where the loop runs no more."""
        self._waiting.append(request)
        if _is_ending():
            self.finish()
        else:
            self._flush_later(GATHER_S)

    def finish(self) -> None:
        """Have everything kept that waits; what cannot be comes to another worker."""
        if self._way is None:
            return
        try:
            self._flush()
            self._way.wait(LAST_S)
        except Exception as exc:
            log.warning("results are not told, and their tasks given back: %r", exc)

    def _flush_later(self, delay_s: float) -> None:
        if not self._is_due and self._waiting:
            self._is_due = True
            self._consumer.hub.call_later(delay_s, self._flush_due)

    def _flush_due(self) -> None:
        self._is_due = False
        try:
            self._flush()
        except Exception as exc:
            # The consumer finds out by itself, and connects again.
            log.warning("results are kept back: %r", exc)
            self._flush_later(RETRY_S)

    def _flush(self) -> None:
        if self._waiting and self._way is not None:
            self._way.put(self._waiting)
            self._waiting = []


class _Redis:
    """Puts the reports and forgets the tasks in one step for each queue of results."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer

    def put(self, requests: Iterable[Request]) -> None:
        channel: taking.Channel = self._consumer.task_consumer.channel
        for queue, group in _by_queue(requests).items():
            messages = [
                (*prepared_for(channel, report), request._message.delivery_tag)
                for request, report in group
            ]
            channel.settle(queue, messages)
            for request, _ in group:
                request.is_acknowledged()

    def unkept(self) -> list[Request]:
        return []

    def wait(self, timeout_s: float) -> None:
        """Nothing is under way."""


class _Amqp:
    """Puts reports on a channel of its own, and acknowledges tasks as those are confirmed."""

    def __init__(self, consumer: Any, settle: Callable[[Request], None]) -> None:
        self._connection = consumer.connection
        self._settle = settle
        self._channel = consumer.connection.channel()
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(self._on_nack)
        self._channel.events["basic_return"].add(self._on_return)
        self._declared: set[str] = set()
        self._unconfirmed: dict[int, Request] = {}
        self._count = 0
        self._returned: set[str] = set()

    def put(self, requests: Iterable[Request]) -> None:
        for queue, group in _by_queue(requests).items():
            if queue not in self._declared:
                # The branch has perhaps not been there yet. Not waited for: on
                # one channel the broker takes things in their order.
                self._channel.queue_declare(queue, durable=True, auto_delete=False, nowait=True)
                self._declared.add(queue)
            for request, report in group:
                self._publish(queue, report)
                self._unconfirmed[self._count] = request

    def unkept(self) -> list[Request]:
        return list(self._unconfirmed.values())

    def wait(self, timeout_s: float) -> None:
        deadline = celery_request.monotonic() + timeout_s
        while self._unconfirmed:
            left = deadline - celery_request.monotonic()
            self._connection.drain_events(timeout=max(0.001, left))

    def _publish(self, queue: str, report: Message) -> None:
        message = self._channel.prepare_message(
            report.body.decode(),
            content_type=JSON,
            content_encoding="utf-8",
            properties={"delivery_mode": 2, "correlation_id": report.id},
        )
        self._count += 1
        self._channel.basic_publish(message, exchange="", routing_key=queue, mandatory=True)

    def _on_ack(self, tag: int, is_multiple: bool) -> None:
        for request in self._confirmed(tag, is_multiple):
            if request.id in self._returned:
                self._returned.discard(request.id)
                self._settle(request)
            else:
                request.acknowledge_now()

    def _on_nack(self, tag: int, is_multiple: bool) -> None:
        for request in self._confirmed(tag, is_multiple):
            self._settle(request)

    def _on_return(self, exc: Exception, exchange: str, queue: str, message: Any) -> None:
        # The queue has gone since: it is declared again with the next report.
        self._declared.discard(queue)
        self._returned.add(message.properties.get("correlation_id", ""))

    def _confirmed(self, tag: int, is_multiple: bool) -> list[Request]:
        if not is_multiple:
            found = [tag] if tag in self._unconfirmed else []
        else:
            found = [each for each in self._unconfirmed if each <= tag]
        return [self._unconfirmed.pop(each) for each in found]


def _by_queue(requests: Iterable[Request]) -> dict[str, list[tuple[Request, Message]]]:
    groups: dict[str, list[tuple[Request, Message]]] = {}
    for request in requests:
        if request.told is not None:
            groups.setdefault(request.told.queue, []).append((request, request.told.report))
    return groups


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
