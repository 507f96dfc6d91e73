"""What answering runners asks of the store: parts of the views of :mod:`cyme_supd.domain.ports`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Protocol

from cyme_supd.domain.job import Job, Run, RunOutput


class Claims(Protocol):
    def run_output(self, run_id: str) -> RunOutput | None:
        """What is known of what it printed."""

    def withdrawn(self, nonces: Collection[str]) -> set[str]:
        """Those of these claims that were given up."""

    def silent_runs(
        self, before: datetime, limit: int, besides: Collection[str | None] = ()
    ) -> list[Run]:
        """Running ones that were last heard of before then, but for those of some apps."""

    def unwanted_runs(self, limit: int) -> list[Run]:
        """Queued and running ones that somebody wants cancelled."""

    def jobs_holding(self) -> list[str]:
        """Ids of jobs with runs that wait for another one to end."""

    def held_runs(self, job_ids: Collection[str]) -> list[Run]:
        """The runs of these jobs that wait for another one to end, in no order."""

    def busy_jobs(self, job_ids: Collection[str]) -> set[str]:
        """Those of these jobs that have a run which is running, or is ordered."""

    def apps_of_jobs(self) -> list[str]:
        """The apps that are there and that jobs, or runs under way, are for."""


class ClaimsEdit(Protocol):
    def lock_runs(self, ids: Collection[str]) -> list[Run]:
        """Those that are there, in no order: nobody else changes them until this ends.

        To be called before anything is looked at that depends on them.
        """

    def lock_jobs(self, ids: Collection[str]) -> list[Job]:
        """Those that are there, in no order: no fire time becomes a run until this ends."""

    def save_claimed(self, changed: Iterable[Run]) -> None:
        """What can change of a run; they are locked."""

    def save_outputs(self, outputs: Iterable[RunOutput]) -> None:
        """In place of what was kept of the same runs, which are locked."""

    def add_withdrawals(self, nonces: Collection[str], at: datetime) -> None:
        """Those that are known already stay; the runs they are of are locked."""

    def forget_withdrawals(self, before: datetime) -> int: ...
