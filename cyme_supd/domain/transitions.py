"""How the state of an instance has changed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cyme_supd.domain.status import ProcessState, Status

KEPT_FOR = timedelta(days=7)
#: The conditions that say why an instance is not as it should be, what tells most first.
_TELLING = ("CrashLooping", "Ready", "Consuming", "Progressing")


@dataclass(frozen=True, slots=True)
class Transition:
    """``reason`` is why it is not ready, or does not consume; empty where it does."""

    name: str
    at: datetime
    state: ProcessState | None
    ready: bool | None
    consuming: bool | None
    reason: str = ""


class Transitions(Protocol):
    def transitions(self, name: str, limit: int) -> list[Transition]:
        """Of one instance, the newest first."""


class TransitionsEdit(Protocol):
    def save_transitions(self, transitions: Iterable[Transition]) -> None: ...
    def remove_transitions(self, before: datetime) -> None: ...


def transitions(
    known: Mapping[str, Status], changed: Iterable[Status], now: datetime
) -> Iterator[Transition]:
    """Of those that are not as they were *known*; limits and generations are no state."""
    for status in changed:
        made = _transition(status, now)
        before = known.get(status.name)
        if before is None or _transition(before, now) != made:
            yield made


def _transition(status: Status, now: datetime) -> Transition:
    return Transition(
        status.name, now, status.state, status.ready, status.consuming, _reason(status)
    )


def _reason(status: Status) -> str:
    """In the words of the condition that is most wrong."""
    by_type = {each.type: each for each in status.conditions}
    for type in _TELLING:
        found = by_type.get(type)
        if found is not None and found.status is (type == "CrashLooping"):
            return found.reason
    return ""
