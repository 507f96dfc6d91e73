"""A schedule in words, for people."""

from __future__ import annotations

from datetime import timedelta

from cyme_supd.schedules.cron import CronLine
from cyme_supd.schedules.intervals import Interval, Step
from cyme_supd.schedules.parsing import parse_schedule

_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def in_words(text: str, timezone: str | None = None) -> str:
    """Of one that is stored: ``At 02:30 on Monday through Friday, Europe/Berlin``."""
    schedule = parse_schedule(text, timezone)
    zone = timezone or "UTC"
    if isinstance(schedule, CronLine):
        return f"{schedule.explained()}, {zone}"
    assert isinstance(schedule, Interval)
    begin = schedule.start.isoformat(" ", "seconds")
    # That of a start with an offset is its own.
    shown = timezone or schedule.zone.tzname(schedule.start) or ""
    times = "" if schedule.count is None else f", {_counted(schedule.count, 'time')}"
    return f"Every {_step(schedule.step)} from {begin} {shown}{times}"


def _step(step: Step) -> str:
    years, months = divmod(step.months, 12)
    parts = [(years, "year"), (months, "month"), (step.days, "day"), *_parts(step.time)]
    said = [_counted(number, unit) for number, unit in parts if number]
    # Every minute, and not every 1 minute.
    return said[0].removeprefix("1 ") if len(said) == 1 else " ".join(said)


def _parts(time: timedelta) -> list[tuple[float, str]]:
    left, found = time.total_seconds(), []
    for size, unit in _UNITS[:-1]:
        found.append((float(left // size), unit))
        left %= size
    return [*found, (round(left, 6), "second")]


def _counted(number: float, unit: str) -> str:
    return f"{number:g} {unit}" if number == 1 else f"{number:g} {unit}s"
