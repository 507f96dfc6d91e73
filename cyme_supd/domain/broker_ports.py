"""What is asked of brokers, and put there: as the use-cases and the branch see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from cyme_supd.domain.orphans import Waiting
from cyme_supd.domain.spec import Queue
from cyme_supd.domain.status import Backlog, Depth
from cyme_supd.domain.task import UrlRequest
from cyme_supd.domain.taskagain import Again
from cyme_supd.domain.tracking import Place


class Publisher(Protocol):
    """Puts tasks into queues, from any thread."""

    def publish(
        self, broker: str, queue: Queue, requests: Sequence[tuple[str, UrlRequest]], reply_to: str
    ) -> None:
        """Put each request, with its id, into *queue*; they are there when this returns.

        All or none, as far as the broker lets itself be asked: where it goes
        away in the middle, what was sent by then stays sent. Results go to
        the queue *reply_to*. Raises ``Conflict`` where the broker refuses
        the queue as it is declared.
        """


class TaskBroker(Protocol):
    """Acts on the tasks of applications that are tracked, where these are published."""

    def send_again(self, place: Place, letters: Sequence[Again]) -> int:
        """Publish each, and declare that it is recorded; how many the broker has, the first ones.

        Raises ``Unavailable`` where it has none of them, ``Conflict`` where the exchange
        is not what tracking declares.
        """

    def revoke(self, place: Place, id: str, terminate: bool) -> None:
        """Tell all workers that are up there to leave that task out; with *terminate*,
        to kill the process that runs it. Nobody answers."""


class Backends(Protocol):
    """Where apps of one's own keep the results of their tasks."""

    def look(self, url: str, id: str) -> tuple[str, Any, str | None]:
        """State, result and error of a task, as Celery's backend at *url* has them.

        Raises ``Invalid`` for a backend that cannot be opened here.
        """


class BrokerQueues(Protocol):
    """Queues as the broker at a URL has them; whoever asks waits for it."""

    def depth(self, broker: str, queue: str) -> Depth | None:
        """At once, or ``None``: of a broker that is down, hangs, or does not tell.

        A queue that is not there yet has nothing in it.
        """

    def depths(self, broker: str, queues: Sequence[str]) -> Mapping[str, Depth]:
        """The same of many; without those that it does not tell of."""

    def waiting(self, broker: str, queues: Sequence[str]) -> Mapping[str, Waiting]:
        """What waits in each, and stays there; without those that it does not tell of."""

    def purge(self, broker: str, queue: str) -> int:
        """Drop the messages that wait in the queue; how many there were.

        Raises ``Conflict`` where the broker refuses.
        """


class Backlogs(Protocol):
    """How queues fill up that somebody should empty; who asks does not wait."""

    def watch(self, queues: Iterable[tuple[str, str]]) -> None:
        """Look at exactly these from now on: broker and name."""

    def backlog(self, broker: str, queue: str) -> Backlog | None:
        """What is known of one that is looked at, if that has been yet."""
