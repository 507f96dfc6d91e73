"""All that this branch has, in one look: what a person sees first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cyme_supd.domain import pause
from cyme_supd.domain.attention import Attention, attention
from cyme_supd.domain.ports import View
from cyme_supd.domain.samples import Point
from cyme_supd.domain.spec import App, Instance, Queue
from cyme_supd.domain.status import Status
from cyme_supd.service.context import Context
from cyme_supd.service.gauges import queues_seen
from cyme_supd.service.looking import branch_or_none
from cyme_supd.service.observed import shown


@dataclass(frozen=True, slots=True)
class Seen:
    """An instance, what is known of it, and how much it needs somebody to look."""

    instance: Instance
    status: Status | None
    attention: Attention


@dataclass(frozen=True, slots=True)
class Overview:
    """Without those that are being deleted; ``seen`` is in the order of names.

    ``waiting`` is by app and queue, as far as is known here.
    """

    apps: Sequence[App]
    queues: Sequence[Queue]
    seen: Sequence[Seen]
    waiting: Mapping[tuple[str, ...], Point]


class Overviews:
    def __init__(self, context: Context) -> None:
        self._context = context

    def get(self) -> Overview:
        """Of this branch alone; with one store for all, of all."""
        now = self._context.clock.now()
        with self._context.store.reading() as view:
            apps = [pause.shown(view.app(name), now) for name in view.app_names()]
            queues = [
                pause.shown(view.queue(app.name, name), now)
                for app in apps
                for name in view.queue_names(app.name)
            ]
            seen = [each for id in self._branches(view) for each in self._seen(view, id)]
        seen.sort(key=lambda each: each.instance.name)
        return Overview(apps, queues, seen, queues_seen(self._context.metrics))

    def _branches(self, view: View) -> list[str]:
        here = self._context.here
        return view.branch_ids() if here.is_shared else [here.id]

    def _seen(self, view: View, id: str) -> list[Seen]:
        now = self._context.clock.now()
        branch, statuses = branch_or_none(view, id), view.statuses(id)
        found = []
        for worker in view.workers(id):
            instance = pause.shown(worker.instance, now)
            status = shown(statuses.get(worker.name), branch, now)
            if not instance.is_deleting:
                found.append(Seen(instance, status, attention(instance.is_enabled, status)))
        return found
