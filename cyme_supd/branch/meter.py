"""Counts what the branch does, for ``GET /metrics``. Nothing here raises or waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cyme_supd.domain.metrics import (
    ACTIONS,
    ANSWERS,
    CALLS,
    ENDED,
    FAILED_PASSES,
    LIVE,
    MESSAGES,
    PASSES,
    QUEUED,
    Key,
)
from cyme_supd.domain.plan import Action
from cyme_supd.domain.ports import Backlogs, Publisher
from cyme_supd.domain.presence import Peer
from cyme_supd.domain.spec import Queue, Worker
from cyme_supd.domain.task import Task, UrlRequest
from cyme_supd.metrics import Metrics


class Meter:
    """*depths* looks at the queues that the branch's instances consume from."""

    def __init__(self, metrics: Metrics | None = None, depths: Backlogs | None = None) -> None:
        self._metrics = metrics or Metrics()
        self._depths = depths
        # Of the last full pass; looked through by who asks, and not in the pass.
        self._seen: Sequence[Worker] | None = None
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
        self._seen = workers

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

    def messages(self) -> dict[tuple[str, str], float | None]:
        """By app and queue, what waits there; ``None`` where that is not known.

        An app that has a queue at two brokers has what waits at both.
        """
        self._look_through()
        found: dict[tuple[str, str], float | None] = {}
        for (broker, name), apps in self._queues.items():
            known = self._depths.backlog(broker, name) if self._depths else None
            for app in apps:
                before = found.setdefault((app, name), None)
                if known is not None:
                    found[app, name] = (before or 0.0) + known.messages
        return found

    def gauges(self, here: str, peers: Mapping[str, Peer]) -> dict[Key, float]:
        """Who of the fleet is there, and how deep the queues are, as far as is known."""
        # One that ended with a word to the others has not lapsed.
        live = {
            id: float(peer.is_live) for id, peer in peers.items() if not peer.heartbeat.is_leaving
        }
        found: dict[Key, float] = {
            (LIVE.name, (id,)): value for id, value in {**live, here: 1.0}.items()
        }
        for queue, messages in self.messages().items():
            if messages is not None:
                found[MESSAGES.name, queue] = messages
        return found


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
