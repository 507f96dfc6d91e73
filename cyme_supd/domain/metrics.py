"""What the processes of a branch count, each for itself. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

#: Seconds; a scrape has one line for each.
_QUICK = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)
_CALLS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5)


@dataclass(frozen=True, slots=True)
class Family:
    """One name with all its labels. With ``bounds`` it is a histogram of seconds, else a
    counter, or a gauge where a process tells how something is."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        """Numbers in a row: one in each bucket, one above, and the sum of all."""
        return len(self.bounds) + 2 if self.bounds else 1


#: Of one row: the family's name, and a value for each of its labels.
Key = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Totals:
    """``counts`` have a row of numbers for each key, ``gauges`` one number."""

    counts: Mapping[Key, tuple[float, ...]] = field(default_factory=dict)
    gauges: Mapping[Key, float] = field(default_factory=dict)


PASSES = Family(
    "cyme_pass_duration_seconds",
    "How long passes of the reconciler took, by kind: full looks at every instance, partial at "
    "those that something happened to. If full ones take longer than --sup-interval, the host or "
    "the database is too slow for so many instances.",
    ("kind",),
    _QUICK,
)
FAILED_PASSES = Family(
    "cyme_passes_failed_total",
    "Passes that could not be finished: supervisord or the store could not be asked, or another "
    "acts for the branch. The branch's log says why.",
)
ACTIONS = Family(
    "cyme_actions_total",
    "What the reconciler did to workers, by kind. Many starts with few changes are workers that "
    "end by themselves: see the condition CrashLooping.",
    ("kind",),
)
ANSWERS = Family(
    "cyme_broadcast_latency_seconds",
    "From a question to all workers at a broker until the answer of each. If it grows the broker, "
    "the host or the workers are overloaded.",
    (),
    _QUICK,
)
CALLS = Family(
    "cyme_supervisord_call_duration_seconds",
    "How long calls of supervisord took, by method; those that failed, too. If it grows "
    "supervisord has too much to do: look at its log and at what else it runs.",
    ("method",),
    _CALLS,
)
QUEUED = Family(
    "cyme_tasks_queued_total",
    "URLs that were queued here as tasks.",
    ("app",),
)
ENDED = Family(
    "cyme_tasks_ended_total",
    "Tasks queued here whose end was heard of, by state. One whose result came twice may count "
    "twice. If FAILURE grows see the result of such a task.",
    ("app", "state"),
)
REQUESTS = Family(
    "cyme_http_requests_total",
    "Requests that the web answered, by route, method and status; route is none where no route "
    "was found or the client had asked too often. For 5xx see the branch's log.",
    ("route", "method", "status"),
)
DURATIONS = Family(
    "cyme_http_request_duration_seconds",
    "From a request to its answer, by route. Changes wait for what they asked for to be seen, so "
    "seconds are in order for them.",
    ("route",),
    _QUICK,
)
RUN_EVENTS = Family(
    "cyme_run_events_total",
    "What happened to runs of jobs, by type: queued, starting, finished, failed, timed_out, lost, "
    "skipped, cancelled, retrying. Counted by the branch that heard of it. If those that are not "
    "finished grow see GET /api/runs/?status=failed,timed_out,lost.",
    ("type",),
)
LIVE = Family(
    "cyme_branch_live",
    "Whether each branch of the fleet, as this one hears them, is live (1) or has lapsed (0). "
    "One that lapsed is down or cut off from the broker; its workers may run on.",
    ("branch",),
)
MESSAGES = Family(
    "cyme_queue_messages",
    "Messages that wait in a queue from which instances of this branch consume, where its broker "
    "tells. If it grows start more instances or give them more concurrency.",
    ("app", "queue"),
)
OLDEST = Family(
    "cyme_queue_oldest_seconds",
    "How long the message that waits longest in a queue has waited, at the least; no line where "
    "its broker does not show that. If it grows nobody takes what is next: see "
    "cyme_queue_consumers and the conditions of the instances.",
    ("app", "queue"),
)
ORPHANS = Family(
    "cyme_orphans",
    "What belongs to an app and to nobody who does anything about it, by kind: queues, consumers, "
    "tasks, processes. GET /<app>/orphans/ names them.",
    ("app", "kind"),
)

COUNTED = (
    PASSES,
    FAILED_PASSES,
    ACTIONS,
    ANSWERS,
    CALLS,
    QUEUED,
    ENDED,
    RUN_EVENTS,
    REQUESTS,
    DURATIONS,
)
GAUGES = (LIVE, MESSAGES, OLDEST, ORPHANS)
WIDTHS = {(family.name, len(family.labels)): family.width for family in COUNTED + GAUGES}


def is_known(key: Key, row: tuple[float, ...]) -> bool:
    """Whether a row that was written is of a family as it is today."""
    return WIDTHS.get((key[0], len(key[1]))) == len(row)


def summed(many: Iterable[Mapping[Key, tuple[float, ...]]]) -> dict[Key, tuple[float, ...]]:
    """The rows of all together; rows of one key are equally long."""
    found: dict[Key, tuple[float, ...]] = {}
    for counts in many:
        for key, row in counts.items():
            before = found.get(key)
            if before is not None:
                row = tuple(a + b for a, b in zip(before, row, strict=True))
            found[key] = row
    return found
