"""Makes runs of the fire times of jobs, and orders those that nobody has claimed.

Any number of injectors may work at one database. Each takes jobs and runs that no other
has just taken, decides by :mod:`cyme_supd.domain.firing`, commits, and only then orders.
Whatever is lost in between is ordered again: a run says itself by when.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cyme_supd.clock import Clock
from cyme_supd.domain import firing
from cyme_supd.domain.firing import Due, Fired, UnderWay
from cyme_supd.domain.job import Job, Overlap, RunStatus, run_id
from cyme_supd.domain.ports import Store, Transaction
from cyme_supd.domain.schedule import Schedule
from cyme_supd.errors import CymeError
from cyme_supd.scheduler.ordering import Orders, Outcome
from cyme_supd.scheduler.parcels import Parcels

log = logging.getLogger("cyme_supd.scheduler")

#: What was edited by others is seen by then.
LOOK_EVERY_S = 1.0
#: While another injector has all that is due.
BUSY_S = 0.02
TROUBLE_S = 1.0
MOST_AT_ONCE = 500
#: A transaction is to be over soon: others wait for what it has locked.
MOST_RUNS = 1000
MOST_PLANNING_S = 1.0
#: For brokers to come up; jobs of others wait as long.
ROOM_WITHIN_S = 0.2

#: However little was stored: somebody may have put the database's clock.
SEEN_FOR_S = 5.0

Parse = Callable[[str, str | None], Schedule]


@dataclass(frozen=True, slots=True)
class _Seen:
    """When the next job is due and the next run to be ordered, by the monotonic clock.

    It is so while the store has that ``version``, and ``until`` then.
    """

    version: int
    due: float
    order: float
    until: float


_NOTHING = _Seen(0, math.inf, math.inf, -math.inf)


class Injector:
    """*me* is who is said to have ordered a run; *broker* is that of jobs without an app."""

    def __init__(
        self, store: Store, parse: Parse, key: bytes, clock: Clock, me: str, broker: str
    ) -> None:
        self._store = store
        self._parse = parse
        self._clock = clock
        self._me = me
        self._broker = broker
        self._woken = threading.Event()
        self._seen = _NOTHING
        self._is_failing = False
        self._orders = Orders(key, me, clock, self.hint)

    def hint(self) -> None:
        """Something may be due; from any thread."""
        self._woken.set()

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Until *stop*."""
        while not stop.is_set():
            beat()
            self._woken.clear()
            self._woken.wait(self._looked())
        self.close()

    def _looked(self) -> float:
        """As :meth:`look`; trouble is told of when it begins."""
        try:
            wait_s = self.look()
        except Exception as exc:
            if not self._is_failing:
                is_foreseen = isinstance(exc, CymeError)
                log.warning("jobs that are due wait: %s", exc, exc_info=not is_foreseen)
            self._is_failing = True
            return TROUBLE_S
        self._is_failing = False
        return wait_s

    def close(self) -> None:
        self._orders.close()

    def look(self) -> float:
        """Do what is to be done now; in how many seconds there is something again."""
        # First what is late by each millisecond, and without asking whether it is time.
        is_due = self._seen.due <= self._clock.monotonic()
        count = self._fire() if is_due else 0
        self._mark(self._orders.outcomes())
        if count or not self._is_known():
            # Where there was nothing to be taken another injector has it.
            count += self._see(may_fire=bool(count) or not is_due)
        if count:
            return 0.0
        left_s = min(self._seen.due, self._seen.order) - self._clock.monotonic()
        return min(LOOK_EVERY_S, left_s) if left_s > 0 else BUSY_S

    def _is_known(self) -> bool:
        """Whether there is nothing to do, as far as is known: to ask for that costs least."""
        seen = self._seen
        if self._clock.monotonic() >= min(seen.due, seen.order, seen.until):
            return False
        return self._store.version() == seen.version

    def _see(self, may_fire: bool) -> int:
        """Look when something is due, and do what is; how many jobs and runs that was."""
        # What is stored in between is seen by the next look, too.
        version = self._store.version()
        with self._store.reading() as view:
            now = view.database_now(self._clock.now())
            asked_at = self._clock.monotonic()
            due_at, order_at = view.next_due_at(), view.next_order_at()
        due, order = (
            math.inf if at is None else asked_at + (at - now).total_seconds()
            for at in (due_at, order_at)
        )
        self._seen = _Seen(version, due, order, asked_at + SEEN_FOR_S)
        count = self._fire() if may_fire and due <= asked_at else 0
        return count + (self._sweep() if order <= asked_at else 0)

    # Jobs that are due

    def _fire(self) -> int:
        self._orders.wait_for_room(ROOM_WITHIN_S)
        with self._store.recording() as tx:
            now = tx.database_now(self._clock.now())
            jobs = tx.take_due(now, MOST_AT_ONCE)
            fired = self._fired(tx, jobs, now)
            parcels = Parcels(tx, self._broker, self._orders.is_away, now)
            tx.add_runs([parcels.add(each.job, run) for each in fired for run in each.runs])
            tx.add_run_events([event for each in fired for event in each.events])
            tx.add_run_events(parcels.events)
            tx.move_on([each.job for each in fired])
        self._orders.put(parcels.made())
        return len(fired)

    def _fired(self, tx: Transaction, jobs: Sequence[Job], now: datetime) -> list[Fired]:
        """As many of them as fit into a transaction; the others are due again at once."""
        planned, stopped = self._planned(jobs, now)
        known = tx.known_runs([run_id(job.id, at) for job, due in planned for at in due.times])
        fired = [_without_known(tx, each) for each in stopped]
        under_way = tx.under_way([job.id for job, _ in planned if job.overlap != Overlap.ALLOW])
        for job, due in planned:
            has_run = {at for at in due.times if run_id(job.id, at) in known} if known else ()
            theirs = under_way.get(job.id, UnderWay())
            fired.append(firing.fire(job, due, now, theirs, has_run, self._me))
        return fired

    def _planned(
        self, jobs: Sequence[Job], now: datetime
    ) -> tuple[list[tuple[Job, Due]], list[Fired]]:
        until = self._clock.monotonic() + MOST_PLANNING_S
        planned: list[tuple[Job, Due]] = []
        stopped: list[Fired] = []
        count = 0
        for job in jobs:
            try:
                due = firing.due_times(job, self._parse(job.schedule, job.timezone), now)
            except Exception as exc:
                # It would keep all others from being run, here and wherever it is due.
                is_foreseen = isinstance(exc, CymeError)
                words = (job.category, job.name, exc)
                log.error("job %s/%s runs no more: %s", *words, exc_info=not is_foreseen)
                stopped.append(firing.stop(job, now, self._me, str(exc)))
                continue
            planned.append((job, due))
            count += len(due.times)
            if count >= MOST_RUNS or self._clock.monotonic() >= until:
                break
        return planned, stopped

    # Runs that are to be ordered

    def _sweep(self) -> int:
        self._orders.wait_for_room(ROOM_WITHIN_S)
        with self._store.recording() as tx:
            now = tx.database_now(self._clock.now())
            until = now + timedelta(seconds=firing.ORDERED_WITHIN_S)
            runs = tx.take_orders(now, MOST_AT_ONCE, until)
            jobs = {job.id: job for job in tx.jobs_with({run.job_id for run in runs})}
            parcels = Parcels(tx, self._broker, self._orders.is_away, now)
            changed = [parcels.add(jobs.get(run.job_id), run) for run in runs]
            tx.save_runs([run for run in changed if run.status != RunStatus.QUEUED])
            tx.add_run_events(parcels.events)
            again_at = firing.order_again_at(0, now)
            tx.put_off(parcels.put_off, until, again_at, "its broker is away")
        self._orders.put(parcels.made())
        return len(runs)

    def _mark(self, outcomes: Sequence[Outcome]) -> None:
        if not outcomes:
            return
        with self._store.recording() as tx:
            now = tx.database_now(self._clock.now())
            for (until, orders, reason), ids in _alike(outcomes).items():
                again_at = firing.order_again_at(orders + 1, now)
                if reason is None:
                    tx.mark_ordered(ids, until, again_at)
                else:
                    tx.put_off(ids, until, again_at, reason)


def _without_known(tx: Transaction, fired: Fired) -> Fired:
    is_known = tx.known_runs([run.id for run in fired.runs])
    return Fired(fired.job) if is_known else fired


def _alike(outcomes: Sequence[Outcome]) -> dict[tuple[datetime, int, str | None], list[str]]:
    """Ids of runs that are marked in the same way: when they were taken, and how often ordered."""
    found: dict[tuple[datetime, int, str | None], list[str]] = {}
    for outcome in outcomes:
        for run in outcome.runs:
            assert run.order_at is not None
            found.setdefault((run.order_at, run.orders, outcome.reason), []).append(run.id)
    return found
