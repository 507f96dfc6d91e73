"""Whether a worker gets on with what waits for it. Pure.

A worker that is idle beside a queue that does not empty does not consume,
whatever it says. That is only looked at for those that seem idle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cyme_supd.domain.spec import Queue, Worker
from cyme_supd.domain.status import Answer, Backlog

#: How long both have to last, in intervals, and in seconds at the least.
STUCK_INTERVALS = 4
STUCK_AT_LEAST_S = 10.0
#: Looks at the queue: what is there at one may just have come.
STUCK_LOOKS = 4
#: A queue's argument: all but one of its consumers wait for that one to go.
SINGLE_CONSUMER = "x-single-active-consumer"


@dataclass(frozen=True, slots=True)
class Trail:
    """Since when a worker has begun nothing (monotonic), and what it said by then."""

    idle_since: float
    started: int | None = None
    queues: frozenset[str] = frozenset()


def followed(trail: Trail | None, answer: Answer, now: float) -> Trail:
    """*trail* with the word of the same process added; ``None`` for a new one."""
    queues = frozenset(answer.queues)
    is_idle = answer.started is not None and not answer.active and not answer.waiting
    if trail is None or not is_idle or (trail.started, trail.queues) != (answer.started, queues):
        return Trail(now, answer.started, queues)
    return trail


def risen(before: Backlog | None, messages: int, now: float) -> Backlog:
    """What is known of a queue in which *messages* were found just now."""
    if not messages:
        return Backlog(0, now)
    if before is None or before.since is None or messages < before.messages:
        return Backlog(messages, now, now, 1)
    return Backlog(messages, now, before.since, before.looks + 1)


def watched(worker: Worker, trail: Trail, now: float, interval_s: float) -> frozenset[str]:
    """Queues whose depth would tell something: none of a worker that works."""
    if trail.started is None or now - trail.idle_since < interval_s:
        return frozenset()
    lone = {queue.name for queue in worker.queues if _has_single_consumer(queue)}
    return trail.queues & worker.consumes - lone


def stuck(trail: Trail, backlogs: Mapping[str, Backlog], interval_s: float) -> str | None:
    """A queue that has not emptied for as long as its consumer has been idle."""
    patience_s = max(STUCK_INTERVALS * interval_s, STUCK_AT_LEAST_S)
    for name, backlog in sorted(backlogs.items()):
        if backlog.since is None or backlog.looks < STUCK_LOOKS:
            continue
        if backlog.at - max(backlog.since, trail.idle_since) >= patience_s:
            return name
    return None


def _has_single_consumer(queue: Queue) -> bool:
    arguments = queue.options.get("queue_arguments") or {}
    return bool(isinstance(arguments, Mapping) and arguments.get(SINGLE_CONSUMER))
