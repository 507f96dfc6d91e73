"""Who needs somebody to look first, and why. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cyme_supd.domain.doubles import CONFLICT
from cyme_supd.domain.health import QUARANTINED, STARTING
from cyme_supd.domain.pause import PAUSED
from cyme_supd.domain.restarts import CRASH_LOOPING, STOPPED_BY_HAND
from cyme_supd.domain.status import Condition, Status

#: From what cannot wait to what is as it should be.
ILL, UNKNOWN, CHANGING, HELD, WELL, OFF = LEVELS = (
    "ill",
    "unknown",
    "changing",
    "held",
    "well",
    "off",
)
#: What is wrong while it is true, and what while it is not; the first that holds is told.
_WRONG_IF = (
    (CONFLICT, True),
    (CRASH_LOOPING, True),
    (QUARANTINED, True),
    ("Ready", False),
    ("Consuming", False),
    ("Progressing", False),
    (STOPPED_BY_HAND, True),
)
#: Who is paused is not to consume.
_PAUSED = frozenset({"Consuming", "Progressing"})
#: Why one is not ready that will be, or will be gone.
_PASSING = frozenset({STARTING, "Restarting", "Stopping", "Deleting", "Moving"})


@dataclass(frozen=True, slots=True)
class Attention:
    """``level`` is one of :data:`LEVELS`; ``condition`` tells of it, where one does."""

    level: str
    condition: Condition | None = None


def attention(is_enabled: bool, status: Status | None) -> Attention:
    """What *status*, as a reader may see it, means to whoever is responsible."""
    if status is None or (status.state is None and status.ready is None):
        return Attention(OFF if not is_enabled and status is None else UNKNOWN)
    if not is_enabled and not status.ready:
        return Attention(OFF)
    by_type = {each.type: each for each in status.conditions}
    paused = by_type.get(PAUSED)
    is_paused = paused is not None and paused.status is True
    for type, wrong in _WRONG_IF:
        found = by_type.get(type)
        if found is not None and found.status is wrong and not (is_paused and type in _PAUSED):
            return Attention(CHANGING if _is_passing(found) else ILL, found)
    if status.ready is None:
        return Attention(UNKNOWN, by_type.get("Unknown") or by_type.get("Ready"))
    return Attention(HELD, paused) if is_paused else Attention(WELL)


def _is_passing(condition: Condition) -> bool:
    return condition.type == "Ready" and condition.reason in _PASSING


def worst(levels: Iterable[str]) -> str:
    """The one that is to be looked at first; well where there is none."""
    return min(levels, key=LEVELS.index, default=WELL)
