"""What there is to measure: instances as they are stored, and what was counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cyme_supd.domain.jobtrouble import Trouble
from cyme_supd.domain.metrics import Totals
from cyme_supd.domain.pause import in_force
from cyme_supd.domain.ports import View
from cyme_supd.domain.runstore import Standing
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import Branch, Status
from cyme_supd.errors import CymeError
from cyme_supd.metrics import Metrics
from cyme_supd.service.context import Context
from cyme_supd.service.looking import branch_or_none
from cyme_supd.service.observed import is_fresh
from cyme_supd.service.troubles import troubles


@dataclass(frozen=True, slots=True)
class Measured:
    """One instance; it has no ``status`` where nobody knows any more how it is.

    ``is_paused`` also where only one of its queues is.
    """

    app: str
    name: str
    is_enabled: bool
    is_paused: bool
    status: Status | None


@dataclass(frozen=True, slots=True)
class JobsMeasured:
    """How jobs were at ``at``."""

    at: datetime
    standing: Standing
    troubles: Sequence[Trouble]

    def age_s(self, since: datetime | None) -> float:
        return 0.0 if since is None else max(0.0, (self.at - since).total_seconds())


@dataclass(frozen=True, slots=True)
class Measures:
    """``consumers`` are, by app and queue, how many instances of the branch consume from
    it. Where the store cannot be read there is only what was counted."""

    id: str
    is_readable: bool
    totals: Totals
    branch: Branch | None = None
    instances: tuple[Measured, ...] = ()
    consumers: Mapping[tuple[str, str], int] = field(default_factory=dict)
    jobs: JobsMeasured | None = None


class Measuring:
    """One look at the store, and no question to a broker or a worker."""

    def __init__(self, context: Context, metrics: Metrics) -> None:
        self._context = context
        self._metrics = metrics

    def look(self) -> Measures:
        """Never raises: a store that cannot be read is measured, too."""
        id, totals = self._context.here.id, self._metrics.totals()
        now = self._context.clock.now()
        try:
            with self._context.store.reading() as view:
                branch, workers, statuses = self._stored(view)
                jobs = JobsMeasured(now, view.standing(now), troubles(view, now))
        except CymeError:
            return Measures(id, False, totals)
        if not is_fresh(branch, now):
            # Nobody knows any more; that the pass is late is measured, too.
            statuses = {}
        instances = tuple(
            Measured(
                worker.instance.app,
                worker.name,
                worker.instance.is_enabled and not worker.instance.is_deleting,
                bool(in_force(worker, now).paused),
                statuses.get(worker.name),
            )
            for worker in workers
        )
        consumers = _consumers(workers, statuses) if statuses else {}
        return Measures(id, True, totals, branch, instances, consumers, jobs)

    def _stored(self, view: View) -> tuple[Branch | None, list[Worker], dict[str, Status]]:
        id = self._context.here.id
        return branch_or_none(view, id), view.workers(id), view.statuses(id)


def _consumers(
    workers: Iterable[Worker], statuses: Mapping[str, Status]
) -> dict[tuple[str, str], int]:
    """Also of queues that nobody consumes from, and somebody should."""
    found: dict[tuple[str, str], int] = {}
    for worker in workers:
        status = statuses.get(worker.name)
        consumed = (status.queues or ()) if status is not None else ()
        for queue in worker.queues:
            key = (worker.instance.app, queue.name)
            found[key] = found.get(key, 0) + (queue.name in consumed)
    return found
