"""ISO 8601 repeating intervals: ``R/2013-05-29T00:00:00/PT1M``, ``R5/.../P1D``, ``R/.../P1M``.

The n-th fire time is the start and n times the duration, so that a month from the
31st of January is the 28th of February, and two are the 31st of March. Years, months,
weeks and days are those of the calendar, hours and less are time that passes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal

from aniso8601 import parse_date, parse_datetime, parse_duration
from aniso8601.builders import TupleBuilder
from dateutil.relativedelta import relativedelta

from cyme_supd.domain.schedule import moment_of
from cyme_supd.errors import Invalid

_SHAPE = re.compile(r"R([0-9]{0,18})/([^/]+)/([^/]+)", re.ASCII)
_HINT = "R/START/DURATION, as in R/2013-05-29T00:00:00/PT1M or R5/2013-05-29/P1D"
#: What the parsers raise of what they do not understand, or cannot hold.
_REFUSED = (ValueError, ArithmeticError, LookupError, NotImplementedError)
_MICROSECOND = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
_MOST = timedelta(days=36525)
_USUAL_MONTH = timedelta(days=365.2425) / 12


@dataclass(frozen=True, slots=True)
class Step:
    months: int = 0
    days: int = 0
    time: timedelta = timedelta()

    @property
    def usual(self) -> timedelta:
        return self.months * _USUAL_MONTH + timedelta(days=self.days) + self.time


@dataclass(frozen=True, slots=True)
class Interval:
    """``start`` is what the clocks of ``zone`` show; ``count`` is ``None`` for ever."""

    start: datetime
    zone: tzinfo
    step: Step
    count: int | None = None

    def after(self, at: datetime) -> datetime | None:
        late = self._guess(at)
        if not (self.step.months or self.step.days):
            # Where only time passes the guess is what is looked for.
            return self.fire(late)
        width = 1
        while not self._is_after(late, at):
            late, width = late + width, width * 2
        early, width = late - 1, 1
        while early >= 0 and self._is_after(early, at):
            late, early, width = early, early - width, width * 2
        # From here on only one that is not after *at*, or none, and one that is.
        early = max(early, -1)
        while late - early > 1:
            middle = (early + late) // 2
            if self._is_after(middle, at):
                late = middle
            else:
                early = middle
        return self.fire(late)

    def _guess(self, at: datetime) -> int:
        """Near the first after *at*; how near is only a matter of speed."""
        passed = at - moment_of(self.start, self.zone)
        return max(0, passed // self.step.usual + 1)

    def fire(self, number: int) -> datetime | None:
        """The fire time of that number, from 0; ``None`` where there is none any more."""
        if self.count is not None and number >= self.count:
            return None
        try:
            return self._moment(number)
        except (OverflowError, ValueError):
            # Beyond the year 9999.
            return None

    def _moment(self, number: int) -> datetime:
        step, local = self.step, self.start
        if step.months or step.days:
            local += relativedelta(months=number * step.months, days=number * step.days)
        return moment_of(local, self.zone) + number * step.time

    def _is_after(self, number: int, at: datetime) -> bool:
        found = self.fire(number)
        return found is None or found > at


def repeating_interval(text: str, zone: tzinfo | None) -> Interval:
    """*zone* is that of a start which has no offset, and whose calendar it is.

    Raises ``Invalid`` saying what is wrong.
    """
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise Invalid("schedule: not a repeating interval", _HINT)
    count, start, rest = shape.groups()
    if count and int(count) == 0:
        raise Invalid("schedule: repeated 0 times it never fires", _HINT)
    if start.startswith("P"):
        raise Invalid("schedule: it has to have a start", _HINT)
    begins = _time("start", start, zone)
    step = _step(rest) if "P" in rest else _until(begins, _time("end", rest, zone))
    _check(step)
    shown = begins if zone is None else begins.astimezone(zone)
    assert shown.tzinfo is not None
    return Interval(
        shown.replace(tzinfo=None, fold=0), shown.tzinfo, step, int(count) if count else None
    )


def _time(name: str, text: str, zone: tzinfo | None) -> datetime:
    try:
        if "T" in text:
            local = parse_datetime(text)
        else:
            local = datetime.combine(parse_date(text), datetime.min.time())
        offset = local.utcoffset()
        aware: datetime = local.replace(tzinfo=(zone or UTC) if offset is None else _fixed(offset))
        # That it is far enough from both ends of all time.
        aware.astimezone(UTC) - timedelta(days=2), aware.astimezone(UTC) + timedelta(days=2)
    except _REFUSED:
        raise Invalid(f"schedule: no time for its {name}", _HINT) from None
    return aware


def _fixed(offset: timedelta) -> tzinfo:
    return UTC if not offset else timezone(offset)


def _until(start: datetime, end: datetime) -> Step:
    if end <= start:
        raise Invalid("schedule: it ends before it starts", _HINT)
    return Step(time=end.astimezone(UTC) - start.astimezone(UTC))


def _step(text: str) -> Step:
    try:
        parts = parse_duration(text, builder=TupleBuilder)
        years, months, weeks, days = (
            _whole(part) for part in (parts.PnY, parts.PnM, parts.PnW, parts.PnD)
        )
        seconds = sum(
            Decimal(part or 0) * unit
            for part, unit in ((parts.TnH, 3600), (parts.TnM, 60), (parts.TnS, 1))
        )
        time = int(seconds * 1_000_000) * _MICROSECOND
        return Step(years * 12 + months, weeks * 7 + days, time)
    except _REFUSED:
        raise Invalid("schedule: no duration that can be repeated", _HINT) from None


def _whole(part: str | None) -> int:
    """Half a month is as long as nobody knows."""
    return int(part or "0")


def _check(step: Step) -> None:
    try:
        usual = step.usual
    except OverflowError:
        usual = _MOST * 2
    if not usual:
        raise Invalid("schedule: its duration is nothing", _HINT)
    if usual < _SECOND:
        raise Invalid("schedule: more often than once a second", _HINT)
    if usual > _MOST:
        raise Invalid("schedule: less often than once in a hundred years", _HINT)
