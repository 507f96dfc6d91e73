"""What ``GET /metrics`` says of jobs and their runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from cyme_supd.domain.jobtrouble import FAILED, MISSED, OVERDUE, UNCLAIMED
from cyme_supd.service import JobsMeasured


def of_jobs(found: JobsMeasured | None) -> Iterator[Metric]:
    """No line where the store cannot be read."""
    runs = GaugeMetricFamily(
        "cyme_runs",
        "Runs of jobs that have not ended, by status. If queued grows nobody takes them: see "
        "which instances consume the queues of the jobs, and GET /api/jobs/troubles/.",
        labels=("status",),
    )
    waits = GaugeMetricFamily(
        "cyme_runs_oldest_seconds",
        "Since when the run was queued that waits longest for a runner; 0 where none waits.",
    )
    due = GaugeMetricFamily(
        "cyme_jobs_due",
        "Jobs that are due and that no injector has taken yet. If it stays above 0 none runs, or "
        "the database is too slow for them.",
    )
    late = GaugeMetricFamily(
        "cyme_jobs_lateness_seconds",
        "Since when the job is due that is due for longest and not taken; 0 where none is.",
    )
    ill = GaugeMetricFamily(
        "cyme_jobs_in_trouble",
        "Jobs that should have run and did not, or failed, by kind: overdue, unclaimed, missed, "
        "failed. GET /api/jobs/troubles/ names them.",
        labels=("kind",),
    )
    if found is not None:
        runs.add_metric(("queued",), found.standing.queued)
        runs.add_metric(("running",), found.standing.running)
        waits.add_metric((), found.age_s(found.standing.queued_at))
        due.add_metric((), found.standing.overdue)
        late.add_metric((), found.age_s(found.standing.overdue_at))
        counts = Counter(each.kind for each in found.troubles)
        for kind in (OVERDUE, UNCLAIMED, MISSED, FAILED):
            ill.add_metric((kind,), counts[kind])
    yield from (runs, waits, due, late, ill)
