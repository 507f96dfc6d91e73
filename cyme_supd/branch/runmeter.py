"""Counts what happens to runs of jobs, once it is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, cast

from cyme_supd.domain.catalogue import Version
from cyme_supd.domain.job import RunEvent
from cyme_supd.domain.metrics import RUN_EVENTS
from cyme_supd.domain.ports import Store, Transaction, View
from cyme_supd.metrics import Metrics


class CountedRuns:
    """*store*, for those who make runs and hear of them: each event is counted by its type."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics

    def reading(self) -> AbstractContextManager[View]:
        return self._store.reading()

    def writing(self, stamp: Version | None = None) -> AbstractContextManager[Transaction]:
        return self._counted(self._store.writing(stamp))

    def recording(self) -> AbstractContextManager[Transaction]:
        return self._counted(self._store.recording())

    def version(self) -> int:
        return self._store.version()

    @contextmanager
    def _counted(self, opened: AbstractContextManager[Transaction]) -> Iterator[Transaction]:
        with opened as tx:
            counting = _Counting(tx)
            # It passes on what it does not count.
            yield cast("Transaction", counting)
        for type, count in counting.types.items():
            self._metrics.count(RUN_EVENTS, type, by=count)


class _Counting:
    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self.types: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def add_run_events(self, events: Iterable[RunEvent]) -> None:
        these = list(events)
        self._tx.add_run_events(these)
        self.types.update(each.type for each in these)
