"""When something is to happen again, and what that is where clocks are put. Pure.

The rule of a local time, for all schedules: one that is skipped, when clocks go
forward, is the moment they do; one that there is twice, when they go back, is the
first of the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice, takewhile
from typing import Protocol

#: Longer than any that somebody has written by hand.
MAX_SCHEDULE = 256
DEFAULT_ZONE = "UTC"

_SECOND = timedelta(seconds=1)
_INSTANT = timedelta(microseconds=1)
#: How far back the latest fire times are looked for at first.
_FIRST_LOOK = timedelta(minutes=2)


class Schedule(Protocol):
    def after(self, at: datetime) -> datetime | None:
        """The first fire time later than *at*, in UTC; ``None`` where none comes any more."""


def upcoming(schedule: Schedule, at: datetime, count: int) -> list[datetime]:
    """The next *count* fire times, or those that are left."""
    return list(islice(from_on(schedule, schedule.after(at)), count))


def from_on(schedule: Schedule, at: datetime | None) -> Iterator[datetime]:
    """*at*, which is a fire time, and all that come after it."""
    while at is not None:
        yield at
        at = schedule.after(at)


def latest(schedule: Schedule, first: datetime, until: datetime, count: int) -> list[datetime]:
    """The last *count* fire times from *first*, which is one, up to *until*.

    However many there are: those before are not walked through.
    """
    late = until
    early = until - _FIRST_LOOK
    while early >= first and len(_between(schedule, early, until, count)) < count:
        late, early = early, until - 2 * (until - early)
    if early < first:
        return _last(schedule, first - _INSTANT, late, until, count)
    return _last(schedule, early, late, until, count)


def _last(
    schedule: Schedule, early: datetime, late: datetime, until: datetime, count: int
) -> list[datetime]:
    """The last ones after *early*; after *late* there are too few."""
    most = 4 * count
    while len(found := _between(schedule, early, until, most)) == most:
        middle = early + (late - early) / 2
        if len(_between(schedule, middle, until, count)) < count:
            late = middle
        else:
            early = middle
    return found[-count:]


def _between(schedule: Schedule, after: datetime, until: datetime, most: int) -> list[datetime]:
    walk = from_on(schedule, schedule.after(after))
    return list(islice(takewhile(lambda at: at <= until, walk), most))


def local_of(at: datetime, zone: tzinfo) -> datetime:
    """What the clocks of *zone* show then, without a zone."""
    return at.astimezone(zone).replace(tzinfo=None)


def is_skipped(local: datetime, zone: tzinfo) -> bool:
    """Whether the clocks of *zone* never show *local*."""
    before, after = _offsets(local, zone)
    return before < after


def moment_of(local: datetime, zone: tzinfo) -> datetime:
    """When the clocks of *zone* show *local*, in UTC, by the rule above."""
    before, after = _offsets(local, zone)
    first = (local - before).replace(tzinfo=UTC)
    if before >= after:
        return first
    return transition((local - after).replace(tzinfo=UTC), first, zone)


def moments_of(local: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """When the clocks of *zone* show *local*, twice the same where they do so once."""
    before, after = _offsets(local, zone)
    return (local - before).replace(tzinfo=UTC), (local - after).replace(tzinfo=UTC)


def transition(start: datetime, end: datetime, zone: tzinfo) -> datetime:
    """The first whole second after *start*, up to *end*, with another offset than *start*.

    There has to be one, and just one; nobody puts clocks at half a second.
    """
    offset = offset_at(start, zone)
    early, late = 0, -(-(end - start) // _SECOND)
    start = start.replace(microsecond=0)
    while late - early > 1:
        middle = (early + late) // 2
        if offset_at(start + middle * _SECOND, zone) == offset:
            early = middle
        else:
            late = middle
    return start + late * _SECOND


def offset_at(at: datetime, zone: tzinfo) -> timedelta:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _offsets(local: datetime, zone: tzinfo) -> tuple[timedelta, timedelta]:
    """By the clocks as they were before *local* was reached, and as they are from then on."""
    before = local.replace(tzinfo=zone, fold=0).utcoffset()
    after = local.replace(tzinfo=zone, fold=1).utcoffset()
    assert before is not None
    assert after is not None
    return before, after
