"""Use-cases of pauses: workers that stay up and take no new work."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from cyme_supd.domain.declaration import check_own_queue_name
from cyme_supd.domain.naming import check_name
from cyme_supd.domain.pause import Pause, requested, said, standing
from cyme_supd.domain.ports import Transaction
from cyme_supd.domain.spec import App, Instance, Queue
from cyme_supd.service.context import Context
from cyme_supd.service.goals import paused, resumed
from cyme_supd.service.looking import check_alive, instance_of
from cyme_supd.service.observed import assemble, broker_key
from cyme_supd.service.waiting import CONVERGED, Outcome


@dataclass(frozen=True, slots=True)
class Place:
    """What is paused: an app, or one of its queues, or one of its instances."""

    app: str
    queue: str | None = None
    instance: str | None = None

    @property
    def name(self) -> str:
        return self.queue or self.instance or self.app


class Pauses:
    def __init__(self, context: Context) -> None:
        self._context = context

    def pause(
        self,
        place: Place,
        reason: str | None,
        until: str | float | None,
        timeout_s: float | None,
    ) -> Outcome:
        """Have its workers leave work alone; what they have begun they finish.

        *until* is ISO 8601 or seconds ahead, then it ends by itself. Asked
        again, the new reason and end replace those before. Returns when all
        that run and answer have let go.
        """
        _check_place(place)
        pause = requested(reason, until, self._context.clock.now())
        with self._context.store.writing() as tx:
            touched = _store(tx, place, pause)
            goals = [paused(one, self._key(one, tx.app(place.app))) for one in touched]
        self._context.hints.send()
        return self._context.waits.until(goals, timeout_s) if goals else CONVERGED

    def resume(self, place: Place, timeout_s: float | None) -> Outcome:
        """Have its workers take work again; another pause may still hold them."""
        _check_place(place)
        now = self._context.clock.now()
        with self._context.store.writing() as tx:
            touched = _store(tx, place, None)
            app = tx.app(place.app)
            queue = tx.queue(place.app, place.queue) if place.queue else None
            held = {one.name: _held(tx, app, one, queue, now) for one in touched}
            goals = [resumed(one, self._key(one, app)) for one in touched if not held[one.name]]
        self._context.hints.send()
        outcome = self._context.waits.until(goals, timeout_s) if goals else CONVERGED
        reason = next(filter(None, held.values()), "")
        return Outcome(False, reason) if reason and outcome.is_converged else outcome

    def _key(self, instance: Instance, app: App) -> str:
        return broker_key(assemble(instance, app, self._context.here))


def _store(tx: Transaction, place: Place, pause: Pause | None) -> list[Instance]:
    """Store it; the instances concerned that should run come back."""
    app = tx.app(place.app)
    check_alive(app)
    if place.queue is not None:
        tx.save_queue(replace(tx.queue(place.app, place.queue), pause=pause))
        found = [one for one in tx.instances(place.app) if place.queue in one.queues]
    elif place.instance is not None:
        stored = instance_of(tx, place.app, place.instance)
        check_alive(stored)
        found = [tx.save_instance(replace(stored, pause=pause))]
    else:
        tx.save_app(replace(app, pause=pause))
        found = tx.touch_instances(place.app)
    return [one for one in found if one.is_enabled and not one.is_deleting]


def _held(tx: Transaction, app: App, one: Instance, queue: Queue | None, now: datetime) -> str:
    """What still holds *queue* of the instance, or else anything of it, in words."""
    queues = [queue] if queue else [None, *(tx.queue(app.name, name) for name in one.queues)]
    found = next(filter(None, (standing(app, one, each, now) for each in queues)), None)
    return said(*found) if found else ""


def _check_place(place: Place) -> None:
    check_name("app", place.app)
    if place.queue is not None:
        check_own_queue_name(place.queue)
    if place.instance is not None:
        check_name("instance", place.instance)
