"""A stage for changes: they come as far as the commit, and no further.

The use-cases are the same, over ports that change nothing; so a change is
checked on it just as it is for real, and none has to know of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from cyme_supd.domain.broker_ports import BrokerQueues
from cyme_supd.domain.catalogue import Version
from cyme_supd.domain.orphans import Waiting
from cyme_supd.domain.ports import Store, Transaction, View
from cyme_supd.domain.presence import Peer
from cyme_supd.domain.spec import Queue, Worker
from cyme_supd.domain.status import Depth
from cyme_supd.domain.task import UrlRequest
from cyme_supd.domain.taskagain import Again
from cyme_supd.domain.tracking import Place
from cyme_supd.errors import Unavailable, Unimplemented


@dataclass(frozen=True, slots=True)
class Draft:
    """What a change would have stored: all workers that it wants looked at.

    ``purged`` messages would be dropped, ``None`` where it drops none.
    """

    workers: tuple[Worker, ...] = ()
    purged: int | None = None


class Stage:
    """The ports of a rehearsal at *branch*, and its end."""

    def __init__(self, store: Store, broker_queues: BrokerQueues, branch: str) -> None:
        self.store = _Store(store, branch)
        self.broker_queues = _Queues(broker_queues)
        self.hints = _NoHints()
        self.publisher = _NoPublisher()
        self.task_broker = _NoTaskBroker()
        self.presence = _Nobody()

    def draft(self, act: Callable[[], object]) -> Draft:
        """Have *act* change something by these ports; it raises what it would for real."""
        counted = self.broker_queues.counted
        counted.purged = None
        try:
            act()
        except _TakenBack as exc:
            return Draft(exc.workers, counted.purged)
        return Draft(purged=counted.purged)


class _TakenBack(Exception):
    """All was ready to be stored, and was not."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        super().__init__()
        self.workers = tuple(workers)


class _Store:
    def __init__(self, store: Store, branch: str) -> None:
        self._store = store
        self._branch = branch

    def reading(self) -> AbstractContextManager[View]:
        return self._store.reading()

    @contextmanager
    def writing(self, stamp: Version | None = None) -> Iterator[Transaction]:
        with self._store.writing(stamp) as tx:
            yield tx
            # Every edit that a worker must follow makes it pending.
            raise _TakenBack(tx.workers_named(tx.pending(self._branch)))

    def recording(self) -> AbstractContextManager[Transaction]:
        return self.writing()

    def version(self) -> int:
        return self._store.version()


class _Counted(threading.local):
    purged: int | None = None


class _Queues:
    def __init__(self, broker_queues: BrokerQueues) -> None:
        self._broker_queues = broker_queues
        self.counted = _Counted()

    def depth(self, broker: str, queue: str) -> Depth | None:
        return self._broker_queues.depth(broker, queue)

    def depths(self, broker: str, queues: Sequence[str]) -> Mapping[str, Depth]:
        return self._broker_queues.depths(broker, queues)

    def waiting(self, broker: str, queues: Sequence[str]) -> Mapping[str, Waiting]:
        return self._broker_queues.waiting(broker, queues)

    def purge(self, broker: str, queue: str) -> int:
        depth = self.depth(broker, queue)
        if depth is None:
            raise Unavailable(f"the broker does not tell how many messages {queue!r} has")
        self.counted.purged = depth.messages
        return depth.messages


class _NoHints:
    def send(self) -> None:
        """There is nothing to look at."""


class _Nobody:
    def peers(self) -> Mapping[str, Peer]:
        """Each branch rehearses for itself."""
        return {}


class _NoTaskBroker:
    def send_again(self, place: Place, letters: Sequence[Again]) -> int:
        raise Unimplemented("what is published cannot be rehearsed")

    def revoke(self, place: Place, id: str, terminate: bool) -> None:
        raise Unimplemented("what workers are told cannot be rehearsed")


class _NoPublisher:
    def publish(
        self, broker: str, queue: Queue, requests: Sequence[tuple[str, UrlRequest]], reply_to: str
    ) -> None:
        raise Unimplemented("what is published cannot be rehearsed")
