"""Use-cases of queues: what an app declares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cyme_supd.domain.declaration import check_own_queue_name, declaration, defaults
from cyme_supd.domain.naming import check_name
from cyme_supd.domain.ports import Transaction, View
from cyme_supd.domain.spec import App, Instance, Queue
from cyme_supd.errors import NotFound
from cyme_supd.service.context import Context
from cyme_supd.service.looking import check_alive
from cyme_supd.service.observed import assemble, broker_key
from cyme_supd.service.waiting import CONVERGED, Goal, Outcome, let_go


@dataclass(frozen=True, slots=True)
class QueueReply:
    """``restarting`` names the instances that get a new process for the edit."""

    queue: Queue
    is_new: bool
    restarting: tuple[str, ...] = ()


class Queues:
    def __init__(self, context: Context) -> None:
        self._context = context

    def names(self, app: str, after: str = "", limit: int | None = None) -> list[str]:
        check_name("app", app)
        with self._context.store.reading() as view:
            view.app(app)
            return view.queue_names(app, after, limit)

    def get(self, app: str, name: str) -> Queue:
        _check_path(app, name)
        with self._context.store.reading() as view:
            view.app(app)
            return view.queue(app, name)

    def put(self, app: str, name: str, given: Mapping[str, Any]) -> QueueReply:
        """Declare it, or edit the declaration by what is *given*.

        Raises ``Invalid`` for what no queue can be.
        """
        _check_path(app, name)
        changes = declaration(name, given)
        with self._context.store.writing() as tx:
            check_alive(tx.app(app))
            stored = _queue_or_none(tx, app, name)
            if stored is None:
                reply = self._create(tx, app, name, changes)
            else:
                reply = _edit(tx, stored, changes)
        self._context.hints.send()
        return reply

    def delete(self, app: str, name: str, timeout_s: float | None) -> Outcome:
        """Forget the declaration; wait until those that run and answer let go of it."""
        _check_path(app, name)
        with self._context.store.writing() as tx:
            owner = tx.app(app)
            check_alive(owner)
            consumers = _consumers(tx, app, name)
            tx.remove_queue(app, name)
            goals = [self._goal(tx.instance(one.name), owner, name) for one in consumers]
        self._context.hints.send()
        return self._context.waits.until(goals, timeout_s) if goals else CONVERGED

    def _create(
        self, tx: Transaction, app: str, name: str, changes: Mapping[str, Any]
    ) -> QueueReply:
        fields = {**defaults(name), **changes}
        tx.add_queue(Queue(app=app, name=name, created_at=self._context.clock.now(), **fields))
        return QueueReply(tx.queue(app, name), is_new=True)

    def _goal(self, instance: Instance, owner: App, queue: str) -> Goal:
        worker = assemble(instance, owner, self._context.here)
        return let_go(instance, broker_key(worker), queue)


def _edit(tx: Transaction, stored: Queue, changes: Mapping[str, Any]) -> QueueReply:
    edited = replace(stored, **changes)
    if edited == stored:
        return QueueReply(stored, is_new=False)
    tx.save_queue(edited)
    restarting = tuple(one.name for one in _consumers(tx, stored.app, stored.name))
    return QueueReply(tx.queue(stored.app, stored.name), is_new=False, restarting=restarting)


def _consumers(view: View, app: str, name: str) -> list[Instance]:
    """Those whose workers should run and consume from it."""
    return [
        one
        for one in view.instances(app)
        if name in one.queues and one.is_enabled and not one.is_deleting
    ]


def _queue_or_none(view: View, app: str, name: str) -> Queue | None:
    try:
        return view.queue(app, name)
    except NotFound:
        return None


def _check_path(app: str, name: str) -> None:
    check_name("app", app)
    check_own_queue_name(name)
