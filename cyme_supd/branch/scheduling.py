"""Jobs on a branch: what orders runs, and hears of them. Part of the wiring of ``cyme:branch``."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from cyme_supd.branch.beats import Beats
from cyme_supd.branch.runmeter import CountedRuns
from cyme_supd.clock import Clock
from cyme_supd.config import Config
from cyme_supd.metrics import Metrics
from cyme_supd.scheduler.answerer import Answerer
from cyme_supd.scheduler.injector import Injector
from cyme_supd.schedules.parsing import parse_schedule
from cyme_supd.seal import read_key
from cyme_supd.store.repository import SqlStore

Thread = Callable[[str, Callable[[Callable[[], None]], None]], None]


class Scheduling:
    def __init__(
        self, config: Config, store: SqlStore, clock: Clock, beats: Beats, metrics: Metrics
    ) -> None:
        self._config = config
        self._store = CountedRuns(store, metrics)
        self._clock = clock
        self._beats = beats
        self._injector: Injector | None = None

    def start(self, thread: Thread, stop: threading.Event) -> None:
        """Once the database can be reached; each runs until *stop*."""
        if not self._config.has_scheduler:
            return
        config = self._config
        key = read_key(config.paths.runner_key)
        self._injector = Injector(
            self._store, parse_schedule, key, self._clock, config.id, config.broker
        )
        thread("injector", partial(self._injector.run, stop))
        answerer = Answerer(
            self._store, key, config.id, config.broker, self._clock, self._beats.beat,
            self._beats.retire,
        )  # fmt: skip
        thread("answerer", partial(answerer.run, stop))

    def hint(self) -> None:
        """Somebody has edited something."""
        if self._injector is not None:
            self._injector.hint()
