"""The use-case that finds what belongs to an app and to nobody who does anything about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.naming import check_name, direct_queue
from cyme_supd.domain.orphans import Inventory, Seen, Stray, Unknown, Waiting
from cyme_supd.domain.orphans import Orphans as Found
from cyme_supd.domain.orphans import orphans as orphans_in
from cyme_supd.domain.pause import in_force
from cyme_supd.domain.ports import View
from cyme_supd.domain.spec import App, Worker
from cyme_supd.errors import CymeError, NotFound, Unavailable
from cyme_supd.service.brokers import broker_among
from cyme_supd.service.context import Context
from cyme_supd.service.looking import branch_or_none
from cyme_supd.service.observed import is_fresh, why_broker_down
from cyme_supd.service.together import together

#: The caller waits a second. Workers have less by what it takes to leave their broker.
WITHIN_S, LEAVE_S = 0.85, 0.25
#: However long the store took, they are given this much.
LEAST_S = 0.2

#: What is asked for, and at which broker; processes are at none.
Question = tuple[str, str]
_PROCESSES: Question = ("processes", "")
_CROWDED = Unavailable("too many requests are waiting already; ask again")


@dataclass(slots=True)
class _Stored:
    """What is stored of an app, and so by broker whom to ask for what.

    ``running`` are the workers that may have a process; ``down`` is why
    brokers are not asked.
    """

    workers: tuple[Worker, ...]
    declared: frozenset[str]
    running: dict[str, list[Worker]] = field(default_factory=lambda: defaultdict(list))
    queues: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    down: dict[str, str] = field(default_factory=dict)


class Orphans:
    def __init__(self, context: Context) -> None:
        self._context = context

    def find(self, app: str) -> Found:
        """Within a second; what could not be asked is told of, and no error."""
        check_name("app", app)
        begun_at = self._context.clock.monotonic()
        with self._context.store.reading() as view:
            stored = self._stored(view, view.app(app))
        spent_s = self._context.clock.monotonic() - begun_at
        answer_s = max(LEAST_S, WITHIN_S - LEAVE_S - spent_s)
        questions = dict(self._questions(stored, answer_s))
        with self._context.waits.slot() as is_free:
            answers: Mapping[Question, Any] = (
                together(questions, answer_s + LEAVE_S)
                if is_free
                else dict.fromkeys(questions, _CROWDED)
            )
        return orphans_in(self._seen(stored, answers))

    def _stored(self, view: View, app: App) -> _Stored:
        here, now = self._context.here, self._context.clock.now()
        instances = view.instances(app.name)
        found = view.workers_named([instance.name for instance in instances])
        workers = tuple(in_force(worker, now) for worker in found)
        stored = _Stored(workers, frozenset(view.queue_names(app.name)))
        for queue in sorted(stored.declared):
            stored.queues[broker_among(instances, app, queue, here)].append(queue)
        self._add_workers(view, stored)
        self._add_outages(view, stored)
        return stored

    def _add_workers(self, view: View, stored: _Stored) -> None:
        """Those to ask, and the queues of those that do not consume for certain."""
        now, ids = self._context.clock.now(), {each.instance.branch for each in stored.workers}
        fresh = {id for id in ids if is_fresh(branch_or_none(view, id), now)}
        statuses = {id: view.statuses(id) for id in ids}
        for worker in stored.workers:
            branch = worker.instance.branch
            status = statuses[branch].get(worker.name)
            may_run = status is not None
            if status is not None and branch in fresh:
                may_run = status.state is not None and status.state.is_up
            if may_run:
                stored.running[worker.broker].append(worker)
            if status is None or branch not in fresh or not status.consuming:
                stored.queues[worker.broker].append(direct_queue(worker.name))

    def _add_outages(self, view: View, stored: _Stored) -> None:
        branch, now = branch_or_none(view, self._context.here.id), self._context.clock.now()
        for url in {*stored.running, *stored.queues}:
            if reason := why_broker_down(branch, parse_broker(url).key, now):
                stored.down[url] = reason

    def _questions(
        self, stored: _Stored, answer_s: float
    ) -> Iterator[tuple[Question, Callable[[], Any]]]:
        ask = self._context.questions.inventories
        look = self._context.broker_queues.waiting
        yield _PROCESSES, self._context.strays.strays
        for broker, workers in stored.running.items():
            if broker not in stored.down:
                yield ("workers", broker), partial(ask, workers, answer_s)
        for broker, queues in stored.queues.items():
            if broker not in stored.down:
                yield ("queues", broker), partial(look, broker, queues)

    def _seen(self, stored: _Stored, answers: Mapping[Question, Any]) -> Seen:
        told: dict[str, Inventory] = _all("workers", answers)
        waiting: dict[str, Waiting] = _all("queues", answers)
        running = {worker.name for workers in stored.running.values() for worker in workers}
        return Seen(
            workers=stored.workers,
            declared=stored.declared,
            told=told,
            silent=frozenset(running - told.keys()),
            waiting=waiting,
            processes=tuple(self._strays(stored, answers[_PROCESSES])),
            unknown=tuple(_unknown(stored, answers)),
        )

    def _strays(self, stored: _Stored, answer: Any) -> Iterator[Stray]:
        """The app's, and those of instances that are gone: whose these were nobody knows."""
        own = {worker.name for worker in stored.workers}
        for stray in [] if isinstance(answer, CymeError) else answer:
            if stray.instance in own or not self._is_there(stray.instance):
                yield stray

    def _is_there(self, instance: str) -> bool:
        with self._context.store.reading() as view:
            try:
                return view.instance(instance) is not None
            except NotFound:
                return False


def _all(kind: str, answers: Mapping[Question, Any]) -> dict[str, Any]:
    """What all brokers answered to that question; by name, and each is at one of them."""
    found: dict[str, Any] = {}
    for (asked, _), answer in answers.items():
        if asked == kind and not isinstance(answer, CymeError):
            found.update(answer)
    return found


def _unknown(stored: _Stored, answers: Mapping[Question, Any]) -> Iterator[Unknown]:
    """Brokers that do not answer; of the others, workers and queues that are not told of."""
    failed = {f"broker {parse_broker(url).masked_url}": why for url, why in stored.down.items()}
    for (kind, broker), answer in answers.items():
        if isinstance(answer, CymeError):
            what = f"broker {parse_broker(broker).masked_url}" if broker else kind
            failed.setdefault(what, answer.message)
        elif kind == "workers":
            for worker in stored.running[broker]:
                if worker.name not in answer:
                    yield Unknown(f"instance {worker.name}", "it does not answer")
        elif kind == "queues":
            for queue in stored.queues[broker]:
                if queue not in answer:
                    yield Unknown(f"queue {queue}", "its broker does not tell of it")
    for what, why in failed.items():
        yield Unknown(what, why)
