"""Use-cases of consumers: which queues an instance takes its work from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from cyme_supd.domain import pause
from cyme_supd.domain.declaration import check_own_queue_name
from cyme_supd.domain.naming import check_name
from cyme_supd.domain.ports import Transaction, View
from cyme_supd.domain.spec import Instance, Queue
from cyme_supd.domain.status import Status
from cyme_supd.service.context import Context
from cyme_supd.service.goals import Goal, consuming, not_consuming
from cyme_supd.service.looking import check_alive, details, instance_of
from cyme_supd.service.observed import assemble, broker_key
from cyme_supd.service.waiting import CONVERGED, Outcome


@dataclass(frozen=True, slots=True)
class Consumed:
    """What an instance was last seen to consume from, by name.

    ``observed_at`` is ``None`` while its worker answers.
    """

    queues: tuple[Queue, ...]
    observed_at: datetime | None


class Consumers:
    def __init__(self, context: Context) -> None:
        self._context = context

    def list(self, app: str, instance: str) -> Consumed:
        """Declared queues only: its own, and strangers', are left out."""
        _check_path(app, instance)
        here, now = self._context.here, self._context.clock.now()
        with self._context.store.reading() as view:
            found = details(view, instance_of(view, app, instance), here, now)
            status = found.status
            seen = set(status.queues or ()) if status else set()
            declared = [name for name in view.queue_names(app) if name in seen]
            queues = tuple(view.queue(app, name) for name in declared)
        is_answering = status is not None and status.ready is True
        return Consumed(queues, None if is_answering else found.observed_at)

    def add(
        self, app: str, instance: str, queue: str, timeout_s: float | None
    ) -> tuple[Outcome, bool]:
        """Consume from *queue*; whether that was not wished before comes second.

        Raises ``Conflict`` where the broker refuses the queue as it is
        declared; the wish stays stored.
        """
        _check_path(app, instance)
        check_own_queue_name(queue)
        with self._context.store.writing() as tx:
            stored = _editable(tx, app, instance)
            declared = tx.queue(app, queue)
            is_new = queue not in stored.queues
            if is_new:
                stored = tx.save_instance(replace(stored, queues=(*stored.queues, queue)))
            goal = consuming(stored, self._broker_key(tx, stored), queue)
            now = self._context.clock.now()
            held = pause.standing(tx.app(app), stored, declared, now)
        self._context.hints.send()
        if held is not None and stored.is_enabled:
            return Outcome(False, pause.said(*held)), is_new
        return self._settle(stored, goal, timeout_s), is_new

    def delete(self, app: str, instance: str, queue: str, timeout_s: float | None) -> Outcome:
        """Consume from *queue* no longer; at once where it does not."""
        _check_path(app, instance)
        check_own_queue_name(queue)
        with self._context.store.writing() as tx:
            stored = _editable(tx, app, instance)
            tx.queue(app, queue)
            if queue not in stored.queues and not _is_seen(tx.status(instance), queue):
                return CONVERGED
            if queue in stored.queues:
                left = tuple(name for name in stored.queues if name != queue)
                stored = tx.save_instance(replace(stored, queues=left))
            goal = not_consuming(stored, self._broker_key(tx, stored), queue)
        self._context.hints.send()
        return self._settle(stored, goal, timeout_s)

    def _settle(self, instance: Instance, goal: Goal, timeout_s: float | None) -> Outcome:
        # A disabled one has no worker: the store is all there is to change.
        if not instance.is_enabled:
            return CONVERGED
        return self._context.waits.until([goal], timeout_s)

    def _broker_key(self, view: View, instance: Instance) -> str:
        return broker_key(assemble(instance, view.app(instance.app), self._context.here))


def _editable(tx: Transaction, app: str, name: str) -> Instance:
    instance = instance_of(tx, app, name)
    check_alive(instance)
    return instance


def _is_seen(status: Status | None, queue: str) -> bool:
    return status is not None and queue in (status.queues or ())


def _check_path(app: str, instance: str) -> None:
    check_name("app", app)
    check_name("instance", instance)
