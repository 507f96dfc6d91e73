"""Where the orders of runs go, and what becomes of those that go nowhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from cyme_supd.domain.declaration import defaults
from cyme_supd.domain.firing import ended, never_ordered
from cyme_supd.domain.job import Job, Run, RunEvent, RunStatus
from cyme_supd.domain.ports import View
from cyme_supd.domain.spec import Queue
from cyme_supd.errors import NotFound
from cyme_supd.scheduler.ordering import Parcel

#: Runs that have waited so long for a broker that is away are tried less often, but for
#: one, so that thousands of them are not taken again and again.
_LONG = timedelta(minutes=4)
#: For so long a queue in which something waits is taken at its word: it has lost nothing.
_TRUSTED = timedelta(hours=1)
_AT_NO_TIME = datetime.min.replace(tzinfo=UTC)


class Parcels:
    """Of the runs that one transaction has taken.

    *broker* is that of jobs without an app, *is_away* says which are not to be had.
    """

    def __init__(
        self, view: View, broker: str, is_away: Callable[[str], bool], now: datetime
    ) -> None:
        self._view = view
        self._broker = broker
        self._is_away = is_away
        self._now = now
        self._routes: dict[tuple[str | None, str], tuple[str, Queue]] = {}
        self._runs: dict[tuple[str | None, str, bool], list[Run]] = {}
        self._tried: set[str] = set()
        #: What is to be said of those that go nowhere.
        self.events: list[RunEvent] = []
        #: Ids of those that are not tried this time.
        self.put_off: list[str] = []

    def add(self, job: Job | None, run: Run) -> Run:
        """*run* as it is to be stored, which is another one where it is not to be ordered.

        One that waits for something else stays as it is.
        """
        if run.status != RunStatus.QUEUED or run.order_at is None:
            return run
        if refused := never_ordered(run, job, self._now):
            return self._end(run, *refused)
        assert job is not None
        key = (job.app, job.routing_key)
        try:
            if key not in self._routes:
                self._routes[key] = self._route(*key)
        except NotFound as exc:
            return self._end(run, RunStatus.FAILED, exc.message)
        if self._waits(run, self._routes[key][0]):
            self.put_off.append(run.id)
        else:
            may_wait = run.orders > 0 and self._now - run.queued_at < _TRUSTED
            self._runs.setdefault((*key, may_wait), []).append(run)
        return run

    def made(self) -> list[Parcel]:
        return [
            Parcel(*self._routes[app, name], tuple(runs), may_wait)
            for (app, name, may_wait), runs in self._runs.items()
        ]

    def _waits(self, run: Run, broker: str) -> bool:
        if self._now - run.queued_at < _LONG or not self._is_away(broker):
            return False
        is_first = broker not in self._tried
        self._tried.add(broker)
        return not is_first

    def _end(self, run: Run, status: RunStatus, reason: str) -> Run:
        changed, event = ended(run, status, self._now, reason)
        self.events.append(event)
        return changed

    def _route(self, app: str | None, name: str) -> tuple[str, Queue]:
        """A broker, and the queue as the app has declared it, or as anybody would."""
        if app is None:
            return self._broker, _undeclared("", name)
        broker = self._view.app(app).broker or self._broker
        try:
            return broker, self._view.queue(app, name)
        except NotFound:
            return broker, _undeclared(app, name)


def _undeclared(app: str, name: str) -> Queue:
    return Queue(app=app, name=name, created_at=_AT_NO_TIME, **defaults(name))
