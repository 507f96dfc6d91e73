"""Writes down every half minute how queues and workers are, for the charts."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from cyme_supd.branch.meter import Meter
from cyme_supd.clock import Clock
from cyme_supd.domain.ports import RemoteControl, Store
from cyme_supd.domain.samples import COARSE_S, Begun, Point, Sample, begun, moment, together
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.transitions import KEPT_FOR
from cyme_supd.errors import CymeError

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
#: What a worker said longer ago is not how it is.
FRESH_S = 30.0
FORGET_EVERY = timedelta(seconds=COARSE_S)


class Sampler:
    """A thread of its own. What it writes was found out by others: it asks nobody."""

    def __init__(
        self,
        branch: str,
        store: Store,
        meter: Meter,
        remote: RemoteControl,
        clock: Clock,
        is_acting: Callable[[], bool] = lambda: True,
    ) -> None:
        self._branch = branch
        self._store = store
        self._meter = meter
        self._remote = remote
        self._clock = clock
        self._is_acting = is_acting
        self._begun: dict[str, Begun] = {}
        self._last = moment(clock.now())
        self._forgot_at = self._last - FORGET_EVERY
        self._is_failing = False

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """The body of the thread."""
        while not stop.wait(LOOK_EVERY_S):
            beat()
            self.look()

    def look(self) -> None:
        """Write a sample where it is time for one."""
        at = moment(self._clock.now())
        if at == self._last or not self._is_acting():
            return
        self._last = at
        try:
            self._write(at)
            self._is_failing = False
        except CymeError as exc:
            log.log(logging.DEBUG if self._is_failing else logging.WARNING, "no sample: %s", exc)
            self._is_failing = True

    def _write(self, at: datetime) -> None:
        samples = list(self._samples(at))
        is_time = abs(at - self._forgot_at) >= FORGET_EVERY
        with self._store.recording() as tx:
            tx.save_samples(self._branch, samples)
            if is_time:
                tx.remove_samples(self._branch, at)
                tx.remove_transitions(at - KEPT_FOR)
        if is_time:
            self._forgot_at = at

    def _samples(self, at: datetime) -> Iterator[Sample]:
        queues, instances = self._by_app(), self._instances()
        wholes = []
        for app in sorted({*queues, *instances}):
            waits, works = queues.get(app, {}), instances.get(app, {})
            whole = together([*waits.values(), *works.values()])
            wholes.append(whole)
            yield Sample(at, app, whole, waits, works)
        yield Sample(at, "", together(wholes))

    def _by_app(self) -> dict[str, dict[str, Point]]:
        found: defaultdict[str, dict[str, Point]] = defaultdict(dict)
        for (app, name), point in self._meter.queues(self._clock.monotonic()).items():
            found[app][name] = point
        return found

    def _instances(self) -> dict[str, dict[str, Point]]:
        found: defaultdict[str, dict[str, Point]] = defaultdict(dict)
        workers = self._meter.workers
        for worker in workers:
            found[worker.instance.app][worker.name] = self._point(worker)
        names = {worker.name for worker in workers}
        self._begun = {name: each for name, each in self._begun.items() if name in names}
        return found

    def _point(self, worker: Worker) -> Point:
        answer = self._remote.answer(worker)
        known, most = self._begun.get(worker.name), worker.instance.max_concurrency
        if answer is None or self._clock.monotonic() - answer.at > FRESH_S:
            # How much it has done stays true.
            return Point(begun=known.total if known else None, most=most)
        known = begun(known, answer)
        if known is not None:
            self._begun[worker.name] = known
        return Point(
            begun=known.total if known else None,
            running=answer.active,
            processes=answer.processes,
            most=most,
        )
