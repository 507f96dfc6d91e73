"""Jobs that should have run and did not, and those that failed for good. Pure.

Level-triggered: what there is to tell follows from what is stored. Of a job the latest
run that has ended, and was neither cancelled nor left out for another one, decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cyme_supd.domain.job import OVERLAP_REASON, Job, Run, RunStatus

#: Due, and no injector has made a run of it.
OVERDUE = "overdue"
#: Ordered, and no runner has taken it.
UNCLAIMED = "unclaimed"
#: Left out: its deadline was over, or nobody was there at its fire time.
MISSED = "missed"
#: Failed, timed out or lost, and not to be tried again.
FAILED = "failed"

OVERDUE_FOR = timedelta(seconds=60)
#: A runner may be at another run for some time; one that has a deadline is missed then.
UNCLAIMED_FOR = timedelta(minutes=3)
#: What ended ill longer ago is not told any more.
TOLD_FOR = timedelta(days=7)
#: Of each kind; where there are more the latest are told.
MOST = 200
ILL = (RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.LOST, RunStatus.SKIPPED)
#: Looked at of each job that has ended ill, to find what has become of it since.
LATEST = 5


@dataclass(frozen=True, slots=True)
class Trouble:
    """``since`` is from when on it is so; ``run_id`` of the run that it is about."""

    kind: str
    job_id: str
    category: str
    name: str
    since: datetime
    message: str
    run_id: str | None = None


def overdue(jobs: Iterable[Job]) -> list[Trouble]:
    return [
        Trouble(
            OVERDUE,
            job.id,
            job.category,
            job.name,
            job.due_at,
            "it is due, and no injector has taken it",
        )
        for job in jobs
        if job.due_at is not None
    ]


def unclaimed(runs: Iterable[Run]) -> list[Trouble]:
    """The run that waits longest of each job."""
    found: dict[str, Trouble] = {}
    for run in sorted(runs, key=lambda each: (each.queued_at, each.id)):
        message = "no runner has taken it: does anybody consume its queue?"
        found.setdefault(run.job_id, _of(run, UNCLAIMED, run.queued_at, message))
    return list(found.values())


def ended_ill(latest: Mapping[str, Sequence[Run]]) -> list[Trouble]:
    """By job its latest runs, the last one first."""
    told = (_told(runs) for runs in latest.values())
    return [each for each in told if each is not None]


def _told(runs: Sequence[Run]) -> Trouble | None:
    decisive = next((run for run in runs if _decides(run)), None)
    if decisive is None or decisive.status == RunStatus.SUCCEEDED:
        return None
    kind = MISSED if decisive.status == RunStatus.SKIPPED else FAILED
    words = str(decisive.status).replace("_", " ")
    message = f"{words}: {decisive.reason or _how(decisive)}"
    return _of(decisive, kind, decisive.finished_at or decisive.fire_at, message)


def _decides(run: Run) -> bool:
    if run.status == RunStatus.SKIPPED:
        return not is_for_overlap(run)
    return run.status == RunStatus.SUCCEEDED or run.status in ILL


def is_for_overlap(run: Run) -> bool:
    """Whether it was left out because another run was under way: the job runs."""
    return (run.reason or "").startswith(OVERLAP_REASON)


def _how(run: Run) -> str:
    if run.signal is not None:
        return f"signal {run.signal}"
    return "no exit code" if run.exit_code is None else f"exit code {run.exit_code}"


def _of(run: Run, kind: str, since: datetime, message: str) -> Trouble:
    return Trouble(kind, run.job_id, run.category, run.name, since, message, run.id)
