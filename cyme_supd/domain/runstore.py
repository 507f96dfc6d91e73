"""What the store knows of what became of jobs: parts of the views of :mod:`cyme_supd.domain.ports`.

Here is what people ask for; what makes runs and hears of them asks for other things.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cyme_supd.domain.job import Run
from cyme_supd.domain.tail import Piece, Place


@dataclass(frozen=True, slots=True)
class Standing:
    """How many runs there are that have not ended, and jobs that nobody has taken.

    ``overdue`` jobs were due before the moment that was asked about, and ``overdue_at``
    is when the first of them was. ``queued_at`` is since when the run waits that has waited
    longest of those that were ordered.
    """

    queued: int = 0
    running: int = 0
    queued_at: datetime | None = None
    overdue: int = 0
    overdue_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunNews:
    """Something has happened to a run of that job; a later ``id`` was stored later."""

    id: int
    job_id: str


class RunHistory(Protocol):
    def run_news(self, newer_than: int | None, limit: int) -> list[RunNews]:
        """What was stored after that one, in that order; the latest alone for ``None``."""

    def standing(self, due_before: datetime) -> Standing: ...

    def unclaimed(self, before: datetime, limit: int) -> list[Run]:
        """Queued before then, and ordered again since nobody took them; the oldest first."""

    def ended_ill(self, statuses: Collection[str], since: datetime, limit: int) -> list[Run]:
        """The latest of those that ended so, of fire times since then."""


class RunHistoryEdit(Protocol):
    def cancel_run(self, id: str, at: datetime, reason: str) -> bool:
        """End a queued one at once, and note of a running one that it is to end.

        Whatever others make of it at the same moment; whether it was under way comes back.
        """

    # Runs that have not ended stay, however old they are.

    def remove_old_runs(self, before: datetime, limit: int) -> int:
        """Of fire times before then, *limit* at most; how many they were comes back."""

    def remove_surplus_runs(self, kept: int, after: str, limit: int) -> tuple[int, str | None]:
        """All but the latest *kept* of each job, *limit* at most, of the jobs after the id *after*.

        How many they were comes back, and after which job to go on: ``None`` at the end.
        """


class RunLogs(Protocol):
    """What runs have printed on this host. ``None`` where a run has no log here."""

    def read(self, job: str, run: str, place: Place | None, size: int) -> Piece | None:
        """As :meth:`cyme_supd.domain.ports.Logs.read`."""

    def part(self, job: str, run: str, begin: int | None, size: int) -> tuple[int, bytes] | None:
        """How long the log is, and *size* bytes of it from *begin* on, or its end."""
