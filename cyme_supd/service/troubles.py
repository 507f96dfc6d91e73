"""Which jobs need somebody: those that should have run and did not, and those that failed."""

from __future__ import annotations

from datetime import datetime

from cyme_supd.domain import jobtrouble
from cyme_supd.domain.jobtrouble import ILL, LATEST, MOST, Trouble
from cyme_supd.domain.ports import View
from cyme_supd.service.context import Context


class Troubles:
    def __init__(self, context: Context) -> None:
        self._context = context

    def look(self) -> list[Trouble]:
        """What has been so for longest first."""
        with self._context.store.reading() as view:
            return troubles(view, self._context.clock.now())


def troubles(view: View, now: datetime) -> list[Trouble]:
    due = view.due(now - jobtrouble.OVERDUE_FOR, MOST)
    waiting = view.unclaimed(now - jobtrouble.UNCLAIMED_FOR, MOST)
    ill = view.ended_ill(ILL, now - jobtrouble.TOLD_FOR, MOST)
    latest = view.latest_runs({run.job_id for run in ill}, LATEST)
    there = {job.id for job in view.jobs_with(latest.keys())}
    known = {id: runs for id, runs in latest.items() if id in there}
    found = [
        *jobtrouble.overdue(due),
        *jobtrouble.unclaimed(waiting),
        *jobtrouble.ended_ill(known),
    ]
    return sorted(found, key=lambda each: (each.since, each.job_id))
