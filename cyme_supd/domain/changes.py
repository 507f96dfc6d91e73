"""That something has changed, and what: for whoever shows it. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cyme_supd.domain.audit import INSTANCE, Event

#: The kind of a change of which nobody knows what it was: all is to be looked at.
ALL = "all"
#: And of one that is about runs of jobs; ``name`` is the id of the job, empty: of several.
RUNS = "runs"
#: Jobs that are told by themselves in one look.
_MOST_JOBS = 20
#: More than so many at once are told as one of :data:`ALL`.
MOST_TOLD = 100
#: So many are remembered, for those who come back.
REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """``kind`` is one of the audit's, or :data:`ALL`, or :data:`RUNS`."""

    kind: str
    app: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """Of what was observed of an instance: ``mark`` is another where that is."""

    app: str
    mark: Any


def changes(
    before: Mapping[str, Trace], after: Mapping[str, Trace], events: Iterable[Event]
) -> list[Change]:
    """What is to be told of two looks, and of what was written down between them."""
    told = [Change(each.kind, each.app, each.name) for each in events]
    for name in before.keys() | after.keys():
        was, now = before.get(name), after.get(name)
        if was != now:
            # One of both is there.
            told.append(Change(INSTANCE, (now or was).app, name))  # type: ignore[union-attr]
    return list(dict.fromkeys(told))


def of_runs(job_ids: Iterable[str]) -> list[Change]:
    """That something has happened to runs of these jobs, of which there may be very many."""
    jobs = list(dict.fromkeys(job_ids))
    return [Change(RUNS)] if len(jobs) > _MOST_JOBS else [Change(RUNS, "", id) for id in jobs]


class Journal:
    """Changes by number, the latest of them; *epoch* tells it from every other.

    Where somebody was is said as text: ``<epoch>-<number>``. Not for several
    threads at once.
    """

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch
        self._number = 0
        self._kept: deque[Change] = deque(maxlen=REMEMBERED)

    @property
    def end(self) -> str:
        return f"{self._epoch}-{self._number}"

    def add(self, told: list[Change]) -> None:
        self._kept.extend(told if len(told) <= MOST_TOLD else [Change(ALL)])
        self._number += len(told) if len(told) <= MOST_TOLD else 1

    def after(self, place: str) -> list[Change]:
        """Since *place*; one of :data:`ALL` where nobody knows any more."""
        epoch, _, text = place.rpartition("-")
        count = self._number - int(text) if text.isdecimal() and text.isascii() else -1
        if epoch != self._epoch or not 0 <= count <= len(self._kept):
            return [Change(ALL)]
        return list(self._kept)[len(self._kept) - count :]
