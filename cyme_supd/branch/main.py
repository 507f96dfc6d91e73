"""The process ``cyme:branch``: where the reconciler's ports meet their adapters.

``python -m cyme_supd.branch.main ROOT``, as supervisord runs it.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from cyme_supd import __version__
from cyme_supd.branch import host, readiness
from cyme_supd.branch.alerts import alerts_of
from cyme_supd.branch.beats import Beats
from cyme_supd.branch.care import Attendant, Rule
from cyme_supd.branch.hints import HintListener
from cyme_supd.branch.lease import Lease, Right, RootLock, holder_of
from cyme_supd.branch.logs import keep_audit, set_up_logging
from cyme_supd.branch.meter import Meter
from cyme_supd.branch.monitoring import is_first, make_monitor
from cyme_supd.branch.neighbours import Neighbours
from cyme_supd.branch.reconciler import Reconciler, Surroundings
from cyme_supd.branch.retention import Retention
from cyme_supd.branch.sampler import Sampler
from cyme_supd.branch.scheduling import Scheduling
from cyme_supd.branch.workqueue import WorkQueue
from cyme_supd.clock import SystemClock
from cyme_supd.config import Config, load
from cyme_supd.domain.audit import DECISIONS_KEPT
from cyme_supd.domain.catalogue import KEEP
from cyme_supd.domain.metrics import Key
from cyme_supd.domain.rate import parse_rate
from cyme_supd.domain.spec import Instance
from cyme_supd.domain.status import Branch
from cyme_supd.domain.task import Task, given_at
from cyme_supd.errors import CymeError, Unavailable
from cyme_supd.metrics import KeptMetrics
from cyme_supd.monitor.monitor import Monitor
from cyme_supd.store.engine import database_url
from cyme_supd.store.repository import SqlStore
from cyme_supd.store.schema import check_schema
from cyme_supd.supervisord import descriptors
from cyme_supd.supervisord.host import LOAD_IT
from cyme_supd.supervisord.wiring import programs_of
from cyme_supd.workers.backlogs import BacklogWatch
from cyme_supd.workers.depths import BrokerQueues
from cyme_supd.workers.launches import LaunchFiles, launch_of, trim_logs
from cyme_supd.workers.remote import Collectors
from cyme_supd.workers.results import Inboxes

log = logging.getLogger("cyme_supd.branch")

WATCH_EVERY_S = 5.0
#: A broker that hangs is known to at most so much later than it could be.
PULSE_EVERY_S = 2.0
TRIM_EVERY_S = 60.0
STORE_EVERY_S = 1.0
#: How deep queues are that are only measured.
DEPTHS_EVERY_S = 15.0


class BranchProcess:
    """The threads that keep a host's workers as they should be."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.clock = SystemClock()
        self.stop = threading.Event()
        self.started_at = self.clock.now()
        self.beats = Beats(self.clock)
        self.queue = WorkQueue(self.clock)
        self.store = SqlStore(database_url(config), config.broker, branch=config.id)
        self.metrics = KeptMetrics(config.paths.metrics, "branch", self.clock, self._gauges)
        self.depths = BacklogWatch(BrokerQueues(), self.clock, DEPTHS_EVERY_S)
        self.meter = Meter(self.metrics, self.depths)
        self.programs = programs_of(config, self.meter.called)
        self.inboxes = Inboxes(
            config.id,
            self.clock,
            save=self._save_tasks,
            is_given=partial(_is_given, config),
            beat=self.beats.beat,
            retire=self.beats.retire,
        )
        self.remote = Collectors(
            config.id,
            self.clock,
            on_news=lambda node: self.queue.put([node.partition("@")[0]]),
            on_pulse=self.queue.resync,
            beat=self.beats.beat,
            retire=self.beats.retire,
            on_use=self.inboxes.use,
            pulse_interval_s=min(config.sup_interval, PULSE_EVERY_S),
            on_answer=self.meter.answered,
        )
        self.backlogs = BacklogWatch(BrokerQueues(), self.clock, config.sup_interval)
        self.reconciler = Reconciler(
            Surroundings(
                self.store,
                self.programs,
                LaunchFiles(config.paths.instances),
                self.remote,
                self.queue,
                self.clock,
            ),
            about=self.about,
            launch_of=partial(launch_of, config),
            broker=config.broker,
            max_starting=2 * (os.cpu_count() or 1),
            reconnect_s=config.wait_after_broker_revived,
            attendant=Attendant(
                self.clock,
                Rule(
                    config.sup_interval,
                    config.wait_after_broker_revived,
                    parse_rate("restart_max_rate", config.restart_max_rate),
                ),
                self.backlogs,
                host.is_stopped,
                yields_to=self._yields_to,
            ),
            right=self._right(),
            meter=self.meter,
        )
        self.neighbours = Neighbours(
            config,
            self.store,
            self.clock,
            self.beats,
            self.started_at,
            self.queue,
            self.metrics,
            self.meter,
        )
        self.alerts = alerts_of(
            config,
            self.store,
            self.meter,
            self.neighbours.post,
            self.clock,
            is_acting=lambda: self.reconciler.is_acting,
        )
        self.sampler = Sampler(
            config.id,
            self.store,
            self.meter,
            self.remote,
            self.clock,
            is_acting=lambda: self.reconciler.is_acting,
        )

        self.scheduling = Scheduling(config, self.store, self.clock, self.beats, self.metrics)

        self.monitor = self._monitor() if config.has_monitor else None

    def _monitor(self) -> Monitor:
        first = partial(is_first, self.config, self.neighbours.post.peers)
        return make_monitor(self.config, self.store, self.config.id, self.beats, first)

    def _right(self) -> Right:
        if not self.config.database:
            return RootLock(self.store)
        return Lease(self.store, self.clock, self.about, holder_of(self.config.root))

    def _yields_to(self, instance: Instance) -> str | None:
        return self.neighbours.doubles.yields_to(instance)

    def run(self) -> None:
        """Until a signal says to stop; exits non-zero where a thread is stuck."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop.set())
        self._await_store()
        if self.stop.is_set():
            return
        hints = HintListener(self.config.paths.hints)
        self._thread("hints", partial(hints.listen, self.stop, self._hinted))
        self._thread("programs", partial(self.programs.listen, self.stop, self._on_programs))
        self._await_supervisord()
        self._thread("reconciler", partial(self.reconciler.run, self.stop))
        self._thread("backlogs", partial(self.backlogs.run, self.stop))
        self._thread("depths", partial(self.depths.run, self.stop))
        self._thread("samples", partial(self.sampler.run, self.stop))
        retention = Retention(self.config, self.store, self.clock)
        self._thread("retention", partial(retention.run, self.stop))
        self.neighbours.start(self._thread, self.stop)
        self.scheduling.start(self._thread, self.stop)
        if self.monitor is not None:
            self.monitor.start()
        self.metrics.start()
        if self.alerts is not None:
            self.alerts.start(self.stop)
        self._thread("readiness", self._tell_when_ready)
        log.info("branch %s %s is up", self.config.id, __version__)
        next_trim = self.clock.monotonic() + TRIM_EVERY_S
        while not self.stop.wait(WATCH_EVERY_S):
            self._watch()
            if self.clock.monotonic() >= next_trim:
                next_trim = self.clock.monotonic() + TRIM_EVERY_S
                self._trim()
                self._forget()
        if self.monitor is not None:
            self.monitor.stop()
        self.neighbours.stop()
        self.remote.stop()
        hints.close()
        self.metrics.save()

    def _await_store(self) -> None:
        """A database that is away is waited for: supervisord would try ever more seldom."""
        said = ""
        while not self.stop.is_set():
            try:
                check_schema(self.store.engine)
                self.neighbours.restore()
                return
            except Unavailable as exc:
                if str(exc) != said:
                    said = str(exc)
                    log.warning("waiting for the database: %s", said)
                self.stop.wait(STORE_EVERY_S)

    def _await_supervisord(self) -> None:
        """Its first word; without it the first pass would know of no program."""
        deadline = self.clock.monotonic() + WATCH_EVERY_S
        while not self.programs.is_reachable and self.clock.monotonic() < deadline:
            self.stop.wait(0.01)

    def _tell_when_ready(self, beat: Callable[[], None]) -> None:
        readiness.tell_when(self._is_ready, self.stop, beat)
        self.beats.retire("readiness")

    def _is_ready(self) -> bool:
        """Whether it has looked at its workers, and is served."""
        config, has_looked = self.config, self.reconciler.has_looked
        return has_looked and (not config.has_httpd or readiness.serves(config.host, config.port))

    def about(self) -> Branch:
        """What the branch says of itself, at this moment."""
        config = self.config
        return Branch(
            id=config.id,
            url=config.url,
            port=config.port,
            version=__version__,
            sup_interval=config.sup_interval,
            numc=config.numc,
            loglevel=config.loglevel,
            logfile=config.logfile,
            started_at=self.started_at,
            health={
                "supervisord": self._about_supervisord(),
                "brokers": self.remote.health(),
                "host": host.measure(config.paths.root),
                "threads": {name: round(age, 1) for name, age in self.beats.ages().items()},
            },
        )

    def _about_supervisord(self) -> dict[str, Any]:
        is_reachable, has_extension = self.programs.is_reachable, self.config.has_extension
        about = {
            "ok": is_reachable,
            "has_extension": is_reachable and has_extension,
            "reason": self.programs.reason,
            "room": descriptors.room(),
        }
        if is_reachable and not has_extension:
            about["reason"] = "it has no extension of Cyme's: slower, and no order when it stops"
            about["hint"] = LOAD_IT
        return about

    def _thread(self, name: str, body: Callable[[Callable[[], None]], None]) -> None:
        beat = partial(self.beats.beat, name)
        beat()
        threading.Thread(target=body, args=(beat,), name=name, daemon=True).start()

    def _hinted(self) -> None:
        self.queue.hint()
        self.scheduling.hint()

    def _on_programs(self, names: set[str]) -> None:
        self.queue.put(names)

    def _save_tasks(self, ended: Sequence[Task]) -> None:
        with self.store.recording() as tx:
            tx.save_tasks(ended)
        self.meter.ended(ended)

    def _gauges(self) -> dict[Key, float]:
        peers = self.neighbours.post.peers()
        return self.meter.gauges(self.config.id, peers, self.clock.monotonic())

    def _forget(self) -> None:
        now = self.clock.now()
        try:
            with self.store.recording() as tx:
                tx.remove_tasks(now - timedelta(seconds=self.config.results_expire_s))
                tx.forget_decisions(now - DECISIONS_KEPT)
            with self.store.writing() as tx:
                tx.forget_tombstones(now - KEEP)
        except CymeError as exc:
            log.warning("results, decisions and deletions that are old stay stored: %s", exc)

    def _trim(self) -> None:
        for name in trim_logs(self.config.paths.instances):
            log.info("%s: log moved to worker.log.1 (it had grown)", name)

    def _watch(self) -> None:
        stuck = self.beats.stuck()
        if not stuck:
            return
        log.critical("no progress in %s: ending, to be started again", ", ".join(stuck))
        try:
            with self.store.recording() as tx:
                tx.save_branch(self.about())
        except CymeError as exc:
            log.error("could not say so in the store: %s", exc)
        # Not sys.exit: a thread that is stuck would not let it end.
        os._exit(os.EX_SOFTWARE)


def _is_given(config: Config, app: str, id: str) -> bool:
    return given_at(bytes.fromhex(config.task_key), app, id) is not None


def main(argv: list[str]) -> None:
    config = load(argv[1])
    set_up_logging(config.loglevel)
    keep_audit(config.paths.audit)
    BranchProcess(config).run()


if __name__ == "__main__":
    main(sys.argv)
