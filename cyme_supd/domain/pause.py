"""Workers that stay up and take no new work. Pure.

A pause is of an app, a queue or an instance. It has an end of its own, or
lasts until somebody resumes; either way the store is not edited when it
ends, so whoever looks compares it with the clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from cyme_supd.domain.naming import direct_queue
from cyme_supd.domain.values import instant
from cyme_supd.errors import Invalid

if TYPE_CHECKING:
    from cyme_supd.domain.spec import App, Instance, Queue, Worker

_Thing = TypeVar("_Thing", "App", "Instance", "Queue")

MAX_REASON = 500
MAX_AHEAD = timedelta(days=366)
_FAR = timedelta(days=36_600)
#: The type of the condition that work is held back.
PAUSED = "Paused"


@dataclass(frozen=True, slots=True)
class Pause:
    """``until`` is ``None`` where it lasts until somebody resumes."""

    reason: str
    since: datetime
    until: datetime | None = None

    def is_over(self, at: datetime) -> bool:
        return self.until is not None and self.until <= at

    def as_dict(self) -> dict[str, Any]:
        until = self.until
        return {
            "reason": self.reason,
            "since": self.since.isoformat(),
            "until": until.isoformat() if until else None,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Pause:
        until = stored["until"]
        return cls(
            stored["reason"],
            datetime.fromisoformat(stored["since"]),
            datetime.fromisoformat(until) if until else None,
        )


def requested(reason: str | None, until: str | float | None, now: datetime) -> Pause:
    """The pause that begins *now*; *until* is ISO 8601, or seconds ahead.

    Raises ``Invalid`` for an end that is past, or more than a year away.
    """
    text = " ".join((reason or "").split())
    if len(text) > MAX_REASON:
        raise Invalid(f"reason: more than {MAX_REASON} characters")
    end = None if until is None else moment("until", until, now)
    if end is not None and not now < end <= now + MAX_AHEAD:
        raise Invalid("until: past, or more than a year ahead", "leave it out: until resumed")
    return Pause(text, now, end)


def moment(name: str, said: str | float, now: datetime) -> datetime:
    """What the parameter *name* says: ISO 8601, UTC without an offset, or seconds ahead.

    What is further away than anybody means is just very far.
    """
    if isinstance(said, float):
        ahead_s = said if math.isfinite(said) else -1.0
        return now + timedelta(seconds=max(-1.0, min(ahead_s, _FAR.total_seconds())))
    hint = "ISO 8601, as 2011-08-15T22:06:43Z, or a number of seconds from now"
    return instant(name, said, hint)


def in_force(worker: Worker, at: datetime) -> Worker:
    """*worker* as it should be at the time *at*: with the pauses that then hold it."""
    paused = {name: pause for name, pause in pauses(worker) if not pause.is_over(at)}
    return replace(worker, paused=paused) if paused else worker


def pauses(worker: Worker) -> Iterator[tuple[str, Pause]]:
    """Every pause of every queue it consumes from, with the queue's name.

    Where there is more than one, the last of a name ends last: it is what
    holds the queue.
    """
    own = [pause for pause in (worker.app.pause, worker.instance.pause) if pause]
    for queue in worker.queues:
        theirs = [*own, queue.pause] if queue.pause else own
        yield from ((queue.name, pause) for pause in sorted(theirs, key=_end_of))
    yield from ((direct_queue(worker.name), pause) for pause in sorted(own, key=_end_of))


def held(worker: Worker) -> dict[str, float | None]:
    """By queue: until when (epoch seconds) a worker that boots leaves it alone.

    Those that are over are there too: a launch file does not change with time.
    """
    return {
        name: pause.until.timestamp() if pause.until else None for name, pause in pauses(worker)
    }


def shown(thing: _Thing, at: datetime) -> _Thing:
    """*thing* without a pause that is over."""
    return replace(thing, pause=None) if thing.pause and thing.pause.is_over(at) else thing


def until_next_end_s(worker: Worker, at: datetime) -> float | None:
    """Seconds to the first end of a pause that holds it."""
    ends = [pause.until for pause in worker.paused.values() if pause.until]
    return max(0.0, (min(ends) - at).total_seconds()) if ends else None


def standing(
    app: App, instance: Instance | None, queue: Queue | None, at: datetime
) -> tuple[str, Pause] | None:
    """What holds *queue* of *instance*: the words for it and the pause, or ``None``."""
    found = (
        (f"app {app.name}", app.pause),
        (f"instance {instance.name}" if instance else "", instance.pause if instance else None),
        (f"queue {queue.name}" if queue else "", queue.pause if queue else None),
    )
    lasting = [(what, pause) for what, pause in found if pause and not pause.is_over(at)]
    return max(lasting, key=lambda each: _end_of(each[1]), default=None)


def said(what: str, pause: Pause) -> str:
    """``app foo is paused until 2011-08-15T22:06:43Z: deploy``"""
    end = f" until {_shown(pause.until)}" if pause.until else ""
    why = f": {pause.reason}" if pause.reason else ""
    return f"{what} is paused{end}{why}"


def words(worker: Worker) -> tuple[str, str]:
    """Reason and message of the condition of a *worker* that is held."""
    lasting = list(worker.paused.values())
    for reason, what, pause in (
        ("AppPaused", f"app {worker.app.name}", worker.app.pause),
        ("InstancePaused", worker.name, worker.instance.pause),
    ):
        if pause in lasting and pause is not None:
            return reason, said(what, pause)
    told = (said(f"queue {name}", pause) for name, pause in sorted(worker.paused.items()))
    return "QueuePaused", "; ".join(told)


def _end_of(pause: Pause) -> datetime:
    return pause.until or datetime.max.replace(tzinfo=UTC)


def _shown(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
