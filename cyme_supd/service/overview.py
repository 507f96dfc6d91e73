"""All that this branch has, in one look: what a person sees first."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cyme_supd.domain import pause
from cyme_supd.domain.attention import Attention, attention
from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.ports import View
from cyme_supd.domain.samples import Point
from cyme_supd.domain.spec import App, Instance, Queue
from cyme_supd.domain.status import Status
from cyme_supd.errors import Unavailable
from cyme_supd.service.context import Context
from cyme_supd.service.gauges import queues_seen
from cyme_supd.service.observed import shown

#: What is shown may depend on the time: whether somebody has looked lately, a pause.
GOOD_S = 1.0
PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Seen:
    """An instance, what is known of it, and how much it needs somebody to look."""

    instance: Instance
    status: Status | None
    attention: Attention


@dataclass(frozen=True, slots=True)
class Overview:
    """Without those that are being deleted; ``seen`` is in the order of names.

    ``brokers`` are the URLs of the apps' brokers, without passwords; ``waiting`` is
    by app and queue, as far as is known here.
    """

    apps: Sequence[App]
    brokers: Mapping[str, str]
    queues: Sequence[Queue]
    seen: Sequence[Seen]
    waiting: Mapping[tuple[str, ...], Point]


class Overviews:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._latest: Overview | None = None
        self._version = 0
        self._good_until = float("-inf")

    def get(self) -> Overview:
        """Of this branch alone; with one store for all, of all.

        All pages that are told of a change ask at once: what was seen of the same
        version, a moment ago, is good for all of them.
        """
        if not self._lock.acquire(timeout=PATIENCE_S):
            # Those who come while nobody gets an answer give up together.
            raise Unavailable("the database does not answer", "try again")
        try:
            # Asked before looking: what is committed in between is seen next time.
            version = self._context.store.version()
            begun_at = self._context.clock.monotonic()
            is_good = version == self._version and begun_at < self._good_until
            if self._latest is None or not is_good:
                self._latest = self._look()
                self._version, self._good_until = version, begun_at + GOOD_S
            return self._latest
        finally:
            self._lock.release()

    def _look(self) -> Overview:
        now = self._context.clock.now()
        with self._context.store.reading() as view:
            apps = [pause.shown(each, now) for each in view.apps()]
            queues = [pause.shown(each, now) for each in view.queues()]
            seen = self._seen(view, now)
        brokers = {app.name: self._broker(app) for app in apps}
        return Overview(apps, brokers, queues, seen, queues_seen(self._context.metrics))

    def _broker(self, app: App) -> str:
        return parse_broker(app.broker or self._context.here.broker).masked_url

    def _seen(self, view: View, now: datetime) -> list[Seen]:
        """So many queries, however many instances and branches there are."""
        here = self._context.here
        wanted = None if here.is_shared else here.id
        branches = {each.id: each for each in view.branches()}
        statuses = view.statuses(wanted)
        found = []
        for each in view.instances(branch=wanted):
            instance = pause.shown(each, now)
            status = shown(statuses.get(each.name), branches.get(each.branch), now)
            if not instance.is_deleting:
                found.append(Seen(instance, status, attention(instance.is_enabled, status)))
        return found
