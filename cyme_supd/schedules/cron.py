"""Cron lines: cronsim says which local times one means, and these rules when those are.

A line whose hours begin with ``*`` goes by the clock as it runs: what that skips is
not run, what it shows twice is run twice. Of any other each local time is one run,
by the rule of :mod:`cyme_supd.domain.schedule`.

cronsim has such rules itself, but loses fire times where clocks are put by less than
an hour, as on Lord Howe; so it is only asked for times without a zone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from cronsim import CronSim, CronSimError

from cyme_supd.domain.schedule import (
    is_skipped,
    local_of,
    moment_of,
    moments_of,
    offset_at,
    transition,
)
from cyme_supd.errors import Invalid

_ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_HINT = "minute, hour, day of the month, month and day of the week, as in 30 2 * * MON-FRI"
#: Every rule for leap years and weekdays comes round in it.
_SOME_TIME = datetime(2000, 1, 1)
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class CronLine:
    line: str
    zone: tzinfo

    def after(self, at: datetime) -> datetime | None:
        try:
            if self.line.split()[1].startswith("*"):
                return self._by_the_clock(at)
            return self._once_each(at)
        except OverflowError:
            return None

    def explained(self) -> str:
        """In words."""
        return str(CronSim(self.line, _SOME_TIME).explain())

    def _once_each(self, at: datetime) -> datetime | None:
        moments = (moment_of(local, self.zone) for local in self._after(local_of(at, self.zone)))
        return next((moment for moment in moments if moment > at), None)

    def _by_the_clock(self, at: datetime) -> datetime | None:
        if offset_at(at, self.zone) == offset_at(at + _DAY, self.zone):
            return self._shown(local_of(at, self.zone), at)
        put_at = transition(at, at + _DAY, self.zone)
        found = next(self._after(local_of(at, self.zone)), None)
        if found is not None:
            moment = (found - offset_at(at, self.zone)).replace(tzinfo=UTC)
            if moment < put_at:
                return moment
        # What is shown from then on may be before what is shown now.
        return self._shown(local_of(put_at, self.zone) - _SECOND, put_at - _SECOND)

    def _shown(self, local: datetime, at: datetime) -> datetime | None:
        """When what comes after *local* is first shown after *at*."""
        shown = (each for each in self._after(local) if not is_skipped(each, self.zone))
        moments = (moment for each in shown for moment in moments_of(each, self.zone))
        return next((moment for moment in moments if moment > at), None)

    def _after(self, local: datetime) -> Iterator[datetime]:
        return CronSim(self.line, local)


def cron_line(text: str, zone: tzinfo) -> CronLine:
    """Raises ``Invalid`` for what is none, and for one that never fires."""
    line = _ALIASES.get(text.strip().lower(), text)
    if len(line.split()) != 5:
        raise Invalid("schedule: neither an ISO 8601 repeating interval nor a cron line", _HINT)
    try:
        fires = next(CronSim(line, _SOME_TIME), None) is not None
    except CronSimError as exc:
        raise Invalid(f"schedule: {str(exc).lower()}", _HINT) from None
    except (AssertionError, TypeError, ValueError):
        # Of combinations that it did not think of, such as MON#1/2.
        raise Invalid("schedule: not a cron line", _HINT) from None
    if not fires:
        raise Invalid("schedule: it never fires", _HINT)
    return CronLine(line, zone)
