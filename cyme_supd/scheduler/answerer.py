"""Hears what runners say of runs, at each broker that jobs use, and answers them.

Any number of answerers may be at one database: each message comes to one of them,
and rows are locked while it is settled. What is settled is acknowledged last: who
is killed before leaves it to others, or hears it again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

from cyme_supd.clock import Clock
from cyme_supd.domain.job import Overlap
from cyme_supd.domain.orders import Alive, Claim, Ended, Output, Started, Withdrawal, answers_queue
from cyme_supd.domain.ports import Store
from cyme_supd.domain.running import LOST_AFTER_S, WITHDRAWN_FOR, Said
from cyme_supd.errors import CymeError, NotFound
from cyme_supd.runner.letters import said_in, said_message
from cyme_supd.scheduler.settling import (
    Letter,
    cancel_unwanted,
    let_go_on,
    lose_silent,
    settle,
)
from cyme_supd.seal import Seal
from cyme_supd.workers.inbox import Inboxes, Post
from cyme_supd.workers.outgoing import Outgoing

log = logging.getLogger(__name__)

#: How often it is looked who is silent, cancelled, or waits for nobody.
SWEEP_EVERY_S = 5.0
FORGET_EVERY_S = 600.0
#: Runs that are looked at in one go.
MOST = 500
SEND_WITHIN_S = 5.0
_SAID = (Claim, Withdrawal, Started, Alive, Output, Ended)


class Answerer:
    """Of one process; *key* is what orders are sealed with.

    *sharer* is a name that no other answerer has, *default_broker* is where runs
    are that are for no app.
    """

    def __init__(
        self,
        store: Store,
        key: bytes,
        sharer: str,
        default_broker: str,
        clock: Clock,
        beat: Callable[[str], None],
        retire: Callable[[str], None],
    ) -> None:
        self._store = store
        self._seal = Seal(key)
        self._queue = answers_queue(key)
        self._sharer = sharer
        self._default_broker = default_broker
        self._clock = clock
        self._outgoing: dict[str, Outgoing] = {}
        self._lock = threading.Lock()
        self._inboxes: Inboxes[Said] = Inboxes(self._post, clock, beat, retire)
        self._forget_at = 0.0

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Until *stop*: use the brokers that there are, and look after what nobody says."""
        failed = ""
        while not stop.is_set():
            beat()
            try:
                self.sweep()
                failed = ""
            except CymeError as exc:
                level = logging.DEBUG if str(exc) == failed else logging.WARNING
                failed = str(exc)
                log.log(level, "runs are not looked after: %s", exc)
            stop.wait(SWEEP_EVERY_S)
        self._inboxes.use([])
        for outgoing in self._outgoing.values():
            outgoing.close()

    def sweep(self) -> None:
        """One look; raises ``Unavailable`` where the store cannot be had."""
        brokers = self._brokers()
        self._inboxes.use(brokers.values())
        self._lose(brokers)
        self._cancel(brokers)
        self._release()
        self._forget()

    def _brokers(self) -> dict[str | None, str]:
        """Of each app that jobs are for, and of what is for none."""
        found: dict[str | None, str] = {None: self._default_broker}
        with self._store.reading() as view:
            for name in view.apps_of_jobs():
                try:
                    found[name] = view.app(name).broker or self._default_broker
                except NotFound:
                    continue
        return found

    # Hearing

    def _post(self, url: str) -> Post[Said]:
        def save(heard: Sequence[Said]) -> None:
            self._say(url, settle(self._store, self._clock, heard))

        return Post("answers", self._queue, self._read, save, self._sharer)

    def _read(self, body: Any) -> list[Said]:
        try:
            return [said_in(self._seal, body, _SAID)]
        except (TypeError, ValueError, CymeError) as exc:
            log.warning("what is said of a run is nothing: %s", exc)
            return []

    def _say(self, url: str, letters: Iterable[Letter]) -> None:
        """What does not get there is asked for again; whose queue is gone is gone."""
        told = [(queue, said_message(self._seal, said)) for queue, said in letters]
        if not told:
            return
        try:
            self._outgoing_to(url).put_each(told)
        except CymeError as exc:
            log.warning("%d answers to runners are not said: %s", len(told), exc)

    def _outgoing_to(self, url: str) -> Outgoing:
        with self._lock:
            if url not in self._outgoing:
                self._outgoing[url] = Outgoing(url, SEND_WITHIN_S)
            return self._outgoing[url]

    # Looking after

    def _lose(self, brokers: dict[str | None, str]) -> None:
        """What is not heard of for a minute, while there was somebody to hear it."""
        silences = {app: self._inboxes.silence_s(url) for app, url in brokers.items()}
        with self._store.reading() as view:
            now = view.database_now(self._clock.now())
            before = now - timedelta(seconds=LOST_AFTER_S)
            unheard = [app for app, silence_s in silences.items() if silence_s is None]
            silent = view.silent_runs(before, MOST, unheard)
        for app in {run.app for run in silent}:
            # Where the app is gone, nobody hears its runners any more.
            since = before - timedelta(seconds=silences.get(app) or 0.0)
            ids = [run.id for run in silent if run.app == app]
            for run in lose_silent(self._store, self._clock, ids, since):
                log.warning("run %s of %s is lost: nothing is heard of it", run.id, run.name)

    def _cancel(self, brokers: dict[str | None, str]) -> None:
        for run, letter in cancel_unwanted(self._store, self._clock, MOST):
            if run.app in brokers:
                self._say(brokers[run.app], [letter])

    def _release(self) -> None:
        with self._store.reading() as view:
            waiting = view.jobs_holding()
            queueing = {job.id for job in view.jobs_with(waiting) if job.overlap == Overlap.QUEUE}
            stuck = set(waiting) - (view.busy_jobs(waiting) & queueing)
        let_go_on(self._store, self._clock, stuck)

    def _forget(self) -> None:
        if self._clock.monotonic() < self._forget_at:
            return
        self._forget_at = self._clock.monotonic() + FORGET_EVERY_S
        with self._store.recording() as tx:
            tx.forget_withdrawals(tx.database_now(self._clock.now()) - WITHDRAWN_FOR)
