"""What the store knows of jobs and runs: parts of the views of :mod:`cyme_supd.domain.ports`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cyme_supd.domain.claimstore import Claims, ClaimsEdit
from cyme_supd.domain.dispatchstore import Dispatched, DispatchedEdit
from cyme_supd.domain.job import Category, Job, Run, RunEvent

DEFAULT_PAGE, MAX_PAGE = 50, 2000
#: Of each job that is shown.
LATEST_RUNS = 5
#: What jobs may be sorted by; with a ``-`` before it the other way round.
SORTS = ("name", "next_fire_at")


@dataclass(frozen=True, slots=True)
class JobQuery:
    """Which jobs are wanted: ``limit`` of them from ``offset`` on, in the order of ``sort``."""

    sort: str = SORTS[0]
    is_descending: bool = False
    category: str | None = None
    category_id: str | None = None
    id: str | None = None
    offset: int = 0
    limit: int = DEFAULT_PAGE


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs are wanted, the latest fire time first.

    Of one of ``statuses``, where there are any; ``until`` is not among the fire times.
    """

    job_id: str | None = None
    statuses: tuple[str, ...] = ()
    category: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    offset: int = 0
    limit: int = DEFAULT_PAGE


class Jobs(Claims, Dispatched, Protocol):
    def categories(self) -> list[Category]:
        """In the order of their names."""

    def category(self, name: str) -> Category: ...

    def jobs(self, query: JobQuery) -> list[Job]:
        """By name is by that of the category first; those that are not due come last."""

    def job(self, id: str) -> Job: ...

    def jobs_with(self, ids: Collection[str]) -> list[Job]:
        """Those of them that are there, in no order."""

    def jobs_in(self, category: str) -> list[Job]:
        """All of them, in the order of their names; of a category that is none: none."""

    def due(self, now: datetime, limit: int) -> list[Job]:
        """Those due at *now* or before, the longest due first."""

    def next_due_at(self) -> datetime | None:
        """When the next job is due, or was already."""

    def latest_runs(self, job_ids: Collection[str], count: int) -> Mapping[str, list[Run]]:
        """Of each job that is there at most *count*, the latest fire time first."""

    def runs(self, query: RunQuery) -> list[Run]: ...
    def run(self, id: str) -> Run: ...

    def run_events(self, run_id: str) -> list[RunEvent]:
        """In the order in which they came."""


class JobsEdit(ClaimsEdit, DispatchedEdit, Protocol):
    def add_category(self, name: str) -> None:
        """One that is there already stays."""

    def remove_category(self, name: str) -> None:
        """With its jobs; their runs stay. Raises ``NotFound``."""

    def add_jobs(self, added: Iterable[Job]) -> None:
        """Raises ``Conflict`` for one that is there."""

    def save_jobs(self, changed: Iterable[Job]) -> None:
        """Those that are gone by now are passed over."""

    def remove_jobs(self, ids: Collection[str]) -> None:
        """Their runs stay."""

    def add_runs(self, added: Iterable[Run]) -> None:
        """Raises ``Conflict`` where a fire time of a job has its run already."""

    def save_runs(self, changed: Iterable[Run]) -> None:
        """Those that are gone by now are passed over."""

    def add_run_events(self, events: Iterable[RunEvent]) -> None: ...
