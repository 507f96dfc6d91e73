"""What becomes of the fire times of a job. Pure.

A fire time is *due* when its jitter is over. It is on time for :data:`ON_TIME_S` from
then on; what is looked at later is missed. Each has one run, or is one of those that
a run which was skipped stands for.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile

from cyme_supd.domain.job import (
    MAX_CATCH_UP,
    OVERLAP_REASON,
    CatchUp,
    Job,
    Overlap,
    Run,
    RunEvent,
    RunStatus,
    due_at,
    run_id,
)
from cyme_supd.domain.schedule import Schedule, from_on, latest

ON_TIME_S = 120.0
#: A run that is not known to be ordered by then is ordered once more.
ORDERED_WITHIN_S = 10.0
#: Runs of a job that wait for another one to end.
MAX_HELD = 100
#: Fire times of a job that are counted; there may be millions of them.
_COUNTED = 250
_FIRST_AGAIN_S, _LAST_AGAIN_S = 60, 3600


@dataclass(frozen=True, slots=True)
class Due:
    """The fire times of a job that are due, in order, and the first that is not.

    Of those ``missed`` that are not the latest only their number is left;
    ``is_exact`` says whether that is all of them.
    """

    missed: tuple[datetime, ...]
    missed_count: int
    is_exact: bool
    on_time: tuple[datetime, ...]
    next_fire_at: datetime | None
    first: datetime

    @property
    def times(self) -> tuple[datetime, ...]:
        return (*self.missed, *self.on_time)


@dataclass(frozen=True, slots=True)
class UnderWay:
    """How many runs of a job have not ended, and how many of them wait for another one."""

    count: int = 0
    held: int = 0


@dataclass(frozen=True, slots=True)
class Fired:
    """``job`` as it is due next; new runs, and what is to be said of them."""

    job: Job
    runs: tuple[Run, ...] = ()
    events: tuple[RunEvent, ...] = ()


def due_times(job: Job, schedule: Schedule, now: datetime) -> Due:
    """Those from ``next_fire_at`` on, which has to be there."""
    first = job.next_fire_at
    assert first is not None
    # After a long one the shorter jitters behind it have been waited for, too.
    waited = job.due_at or first
    times: list[datetime] = []
    for at in from_on(schedule, first):
        if _due(job, at) > now:
            return _sorted(job, times, waited, now, at)
        times.append(at)
        if len(times) <= _COUNTED:
            continue
        if _is_missed(job, at, waited, now):
            return _far_behind(job, schedule, now)
        return _sorted(job, times[:-1], waited, now, at)
    return _sorted(job, times, waited, now, None)


def fire(
    job: Job,
    due: Due,
    now: datetime,
    under_way: UnderWay,
    known: Collection[datetime],
    branch: str,
) -> Fired:
    """Make runs of what is *due*, but for the *known* fire times, which have theirs.

    *under_way* is of what is stored. *branch* is who says so.
    """
    making = _Making(job, now, under_way, branch)
    chosen = [at for at in _chosen(job, due, now) if at not in known]
    left = [at for at in due.missed if at not in chosen and at not in known]
    if left:
        count = due.missed_count - len(due.missed) + len(left)
        making.skip(left[-1], _missed(count, due.is_exact, due.first, left[-1]))
    for at in chosen:
        making.run(at, "it was missed, and is caught up with")
    for at in due.on_time:
        if at not in known:
            making.run(at)
    return Fired(_moved(job, due.next_fire_at), tuple(making.runs), tuple(making.events))


def stop(job: Job, now: datetime, branch: str, reason: str) -> Fired:
    """It cannot be fired any more at all: the run of its fire time says why."""
    assert job.next_fire_at is not None
    making = _Making(job, now, UnderWay(), branch)
    making.end(job.next_fire_at, RunStatus.FAILED, reason)
    moved = replace(job, next_fire_at=None, due_at=None)
    return Fired(moved, tuple(making.runs), tuple(making.events))


def order_again_at(orders: int, now: datetime) -> datetime:
    """When a run is ordered once more that was ordered so many times, if nobody claims it."""
    after_s = min(_FIRST_AGAIN_S * 2 ** min(max(orders - 1, 0), 10), _LAST_AGAIN_S)
    return now + timedelta(seconds=after_s)


def is_late(run_fire_at: datetime, deadline_s: int | None, now: datetime) -> bool:
    """Whether it is too late to begin."""
    return deadline_s is not None and now > run_fire_at + timedelta(seconds=deadline_s)


def never_ordered(run: Run, job: Job | None, now: datetime) -> tuple[RunStatus, str] | None:
    """What a queued run that is to be ordered becomes instead, and why; *job* may be gone."""
    if run.wants_cancel:
        return RunStatus.CANCELLED, "it was cancelled"
    if job is None:
        return RunStatus.CANCELLED, "the job was removed"
    # What has begun by then is tried again, however late that is.
    if run.attempt == 1 and is_late(run.fire_at, job.deadline_s, now):
        return RunStatus.SKIPPED, f"no runner took it within its deadline of {job.deadline_s} s"
    return None


def ended(run: Run, status: RunStatus, now: datetime, reason: str) -> tuple[Run, RunEvent]:
    """A run that nobody has begun and nobody will, and what is to be said of it."""
    changed = replace(run, status=status, finished_at=now, order_at=None, reason=reason)
    return changed, RunEvent(run.id, now, str(status), reason)


class _Making:
    """Runs of one job, in the order of their fire times."""

    def __init__(self, job: Job, now: datetime, under_way: UnderWay, branch: str) -> None:
        self._job, self._now, self._branch = job, now, branch
        self._count, self._held = under_way.count, under_way.held
        self.runs: list[Run] = []
        self.events: list[RunEvent] = []

    def run(self, at: datetime, message: str = "") -> None:
        """Queue it, let it wait, or say why it is skipped."""
        job = self._job
        if is_late(at, job.deadline_s, self._now):
            self.skip(at, f"its deadline was over: {job.deadline_s} s after its fire time")
        elif job.overlap == Overlap.SKIP and self._count:
            self.skip(at, f"{OVERLAP_REASON} of the job had not ended")
        elif job.overlap == Overlap.QUEUE and self._count:
            self._hold(at)
        else:
            order_at = self._now + timedelta(seconds=ORDERED_WITHIN_S)
            self._queue(self._new(at, order_at), message)

    def skip(self, at: datetime, reason: str) -> None:
        self.end(at, RunStatus.SKIPPED, reason)

    def end(self, at: datetime, status: RunStatus, reason: str) -> None:
        run, event = ended(self._new(at), status, self._now, reason)
        self.runs.append(run)
        self.events.append(event)

    def _hold(self, at: datetime) -> None:
        if self._held >= MAX_HELD:
            self.skip(at, f"{OVERLAP_REASON} had not ended, and {MAX_HELD} wait for it already")
            return
        self._held += 1
        self._queue(self._new(at), "it waits for another run of the job to end")

    def _queue(self, run: Run, message: str) -> None:
        self._count += 1
        self.runs.append(run)
        self.events.append(RunEvent(run.id, self._now, str(RunStatus.QUEUED), message))

    def _new(self, at: datetime, order_at: datetime | None = None) -> Run:
        job = self._job
        return Run(
            id=run_id(job.id, at),
            job_id=job.id,
            category=job.category,
            name=job.name,
            fire_at=at,
            status=RunStatus.QUEUED,
            queued_at=self._now,
            app=job.app,
            branch=self._branch,
            order_at=order_at,
        )


def _moved(job: Job, fire_at: datetime | None) -> Job:
    next_due_at = due_at(job, fire_at)
    if next_due_at is not None and job.due_at is not None:
        # What had to wait for its turn is not late for it.
        next_due_at = max(next_due_at, job.due_at)
    return replace(job, next_fire_at=fire_at, due_at=next_due_at)


def _due(job: Job, at: datetime) -> datetime:
    found = due_at(job, at)
    assert found is not None
    return found


def _is_missed(job: Job, at: datetime, waited: datetime, now: datetime) -> bool:
    return now - max(_due(job, at), waited) > timedelta(seconds=ON_TIME_S)


def _sorted(
    job: Job, times: list[datetime], waited: datetime, now: datetime, next: datetime | None
) -> Due:
    missed = tuple(takewhile(lambda at: _is_missed(job, at, waited, now), times))
    kept = missed[-MAX_CATCH_UP - 1 :]
    first = times[0] if times else now
    return Due(kept, len(missed), True, tuple(times[len(missed) :]), next, first)


def _far_behind(job: Job, schedule: Schedule, now: datetime) -> Due:
    """Where there are too many of them: the latest are found without all the others."""
    first = job.next_fire_at
    assert first is not None
    # Jitter apart, which is the last thing to matter here.
    on_time_from = now - timedelta(seconds=ON_TIME_S)
    missed = latest(schedule, first, on_time_from, _most(job) + 1)
    following = from_on(schedule, schedule.after(on_time_from))
    on_time = tuple(takewhile(lambda at: at <= now, following))
    next_fire_at = schedule.after(now)
    return Due(tuple(missed), _COUNTED, False, on_time, next_fire_at, first)


def _most(job: Job) -> int:
    """How many of the missed ones are run after all."""
    return {CatchUp.NONE: 0, CatchUp.ONE: 1}.get(CatchUp(job.catch_up), MAX_CATCH_UP)


def _chosen(job: Job, due: Due, now: datetime) -> tuple[datetime, ...]:
    """Those of the missed ones that are run after all."""
    most = _most(job)
    latest_ones = due.missed[-most:] if most else ()
    return tuple(at for at in latest_ones if not is_late(at, job.deadline_s, now))


def _missed(count: int, is_exact: bool, first: datetime, last: datetime) -> str:
    if count == 1 and is_exact:
        return "it was missed: nobody was there to order it"
    many = str(count) if is_exact else f"more than {count}"
    return f"{many} fire times were missed, from {_shown(first)} to {_shown(last)}"


def _shown(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
