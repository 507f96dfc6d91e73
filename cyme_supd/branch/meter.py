"""Counts what the branch does, for ``GET /metrics``. Nothing here raises or waits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from cyme_supd.domain.age import age_s
from cyme_supd.domain.broker_ports import Backlogs, Publisher
from cyme_supd.domain.metrics import (
    ACTIONS,
    ANSWERS,
    CALLS,
    ENDED,
    FAILED_PASSES,
    LIVE,
    MESSAGES,
    OLDEST,
    ORPHANS,
    PASSES,
    QUEUED,
    Key,
)
from cyme_supd.domain.plan import Action
from cyme_supd.domain.presence import Peer
from cyme_supd.domain.samples import Point
from cyme_supd.domain.spec import Queue, Worker
from cyme_supd.domain.status import Backlog
from cyme_supd.domain.task import Task, UrlRequest
from cyme_supd.metrics import Metrics

#: An app and the name of a queue of it.
AppQueue = tuple[str, str]


class Meter:
    """*depths* looks at the queues that the branch's instances consume from."""

    def __init__(self, metrics: Metrics | None = None, depths: Backlogs | None = None) -> None:
        self._metrics = metrics or Metrics()
        self._depths = depths
        # Of the last full pass; looked through by who asks, and not in the pass.
        self._seen: Sequence[Worker] | None = None
        self.workers: Sequence[Worker] = ()
        #: By app and kind, how many were found; without apps of which that is not known.
        self.orphans: Mapping[str, Mapping[str, int]] = {}
        # By broker and name, the apps that have it.
        self._queues: Mapping[tuple[str, str], set[str]] = {}

    def passed(self, is_full: bool, seconds: float, is_done: bool) -> None:
        """A pass has ended; one that could not be finished tells nothing by how long it took."""
        if is_done:
            self._metrics.time(PASSES, seconds, "full" if is_full else "partial")
        else:
            self._metrics.count(FAILED_PASSES)

    def acted(self, action: Action) -> None:
        self._metrics.count(ACTIONS, type(action).__name__.lower())

    def answered(self, seconds: float) -> None:
        """A worker has answered a question to all."""
        self._metrics.time(ANSWERS, seconds)

    def called(self, method: str, seconds: float) -> None:
        """supervisord has answered, or has not."""
        self._metrics.time(CALLS, seconds, method)

    def ended(self, tasks: Iterable[Task]) -> None:
        for task in tasks:
            self._metrics.count(ENDED, task.app, str(task.state))

    def saw(self, workers: Sequence[Worker]) -> None:
        """All workers of the branch, in a full pass."""
        self._seen = self.workers = workers

    def _look_through(self) -> None:
        workers, self._seen = self._seen, None
        if workers is None:
            return
        found: dict[tuple[str, str], set[str]] = {}
        for worker in workers:
            for queue in worker.queues:
                found.setdefault((worker.broker, queue.name), set()).add(worker.instance.app)
        self._queues = found
        if self._depths is not None:
            self._depths.watch(found)

    def queues(self, now: float) -> dict[AppQueue, Point]:
        """What waits in each queue, and how long, as far as is known; *now* is monotonic.

        An app that has a queue at two brokers has what waits at both.
        """
        self._look_through()
        found: defaultdict[AppQueue, list[Backlog]] = defaultdict(list)
        for (broker, name), apps in self._queues.items():
            known = self._depths.backlog(broker, name) if self._depths else None
            for app in apps:
                found[app, name] += [known] if known is not None else []
        return {queue: _point(backlogs, now) for queue, backlogs in found.items()}

    def gauges(self, here: str, peers: Mapping[str, Peer], now: float) -> dict[Key, float]:
        """Who of the fleet is there, and how the queues are, as far as is known."""
        # One that ended with a word to the others has not lapsed.
        live = {
            id: float(peer.is_live) for id, peer in peers.items() if not peer.heartbeat.is_leaving
        }
        found: dict[Key, float] = {
            (LIVE.name, (id,)): value for id, value in {**live, here: 1.0}.items()
        }
        for queue, point in self.queues(now).items():
            for family, value in ((MESSAGES, point.depth), (OLDEST, point.oldest_s)):
                if value is not None:
                    found[family.name, queue] = value
        for app, counts in self.orphans.items():
            found |= {(ORPHANS.name, (app, kind)): float(n) for kind, n in counts.items()}
        return found


def _point(backlogs: Sequence[Backlog], now: float) -> Point:
    if not backlogs:
        return Point()
    ages = [age for each in backlogs if (age := age_s(each, now)) is not None]
    is_known = len(ages) == len(backlogs)
    return Point(sum(each.messages for each in backlogs), round(max(ages), 1) if is_known else None)


class CountingPublisher:
    """*publisher*, of which is counted what it has put into queues."""

    def __init__(self, publisher: Publisher, metrics: Metrics) -> None:
        self._publisher = publisher
        self._metrics = metrics

    def publish(
        self, broker: str, queue: Queue, requests: Sequence[tuple[str, UrlRequest]], reply_to: str
    ) -> None:
        self._publisher.publish(broker, queue, requests, reply_to)
        self._metrics.count(QUEUED, queue.app, by=len(requests))
