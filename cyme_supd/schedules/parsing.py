"""A schedule as it is written: an ISO 8601 repeating interval or a cron line."""

from __future__ import annotations

from functools import lru_cache

from cyme_supd.domain.naming import is_control
from cyme_supd.domain.schedule import DEFAULT_ZONE, MAX_SCHEDULE, Schedule
from cyme_supd.errors import Invalid
from cyme_supd.schedules.cron import cron_line
from cyme_supd.schedules.intervals import repeating_interval
from cyme_supd.schedules.zones import zone_called


@lru_cache(4096)
def parse_schedule(text: str, timezone: str | None = None) -> Schedule:
    """Raises ``Invalid`` naming ``schedule`` or ``timezone``, and saying what is wrong with it."""
    zone = None if timezone is None else zone_called(timezone)
    if len(text) > MAX_SCHEDULE:
        raise Invalid(f"schedule: longer than {MAX_SCHEDULE} characters")
    if not text.isascii() or any(is_control(char) for char in text):
        raise Invalid("schedule: there is a character in it that none has")
    if text.startswith("R"):
        return repeating_interval(text, zone)
    return cron_line(text, zone or zone_called(DEFAULT_ZONE))
