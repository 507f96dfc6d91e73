"""What a branch is to the others: it is heard of, asked, and keeps up with them.

Part of the wiring of the process ``cyme:branch``: the mailbox's ports meet the
service, and the service meets what answers for it.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from cyme_supd import __version__
from cyme_supd.branch import exchange, host
from cyme_supd.branch.beats import Beats
from cyme_supd.branch.meter import Meter
from cyme_supd.branch.orphans import OrphanWatch
from cyme_supd.branch.wiring import make_service
from cyme_supd.branch.workqueue import WorkQueue
from cyme_supd.clock import Clock
from cyme_supd.config import Config
from cyme_supd.domain.moving import progress
from cyme_supd.domain.presence import Heartbeat
from cyme_supd.errors import CymeError
from cyme_supd.mailbox.controllers import Handler
from cyme_supd.mailbox.post import BranchPost
from cyme_supd.mailbox.roll import RollFile
from cyme_supd.metrics import Metrics
from cyme_supd.service.arrivals import MOVE
from cyme_supd.service.claims import CLAIM
from cyme_supd.service.doubles import NAMES, Doubles
from cyme_supd.service.fleet import API, FIND, HINT, PATIENT_API
from cyme_supd.service.following import Following
from cyme_supd.service.watching import WATCH
from cyme_supd.srs.agent import Agent
from cyme_supd.srs.desk import Desk
from cyme_supd.store.repository import SqlStore
from cyme_supd.supervisord import descriptors
from cyme_supd.web.app import create_app
from cyme_supd.web.forwarding import answerer
from cyme_supd.web.orphans import counted
from cyme_supd.web.settings import Settings

#: Requests of other branches that wait for a worker at a time.
MAX_WAITS = 16

Thread = Callable[[str, Callable[[Callable[[], None]], None]], None]


class Neighbours:
    """*queue* has the reconciler look at what was stored; *metrics* count what is asked,
    *meter* is told what is nobody's."""

    def __init__(
        self,
        config: Config,
        store: SqlStore,
        clock: Clock,
        beats: Beats,
        started_at: datetime,
        queue: WorkQueue,
        metrics: Metrics | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._config = config
        self._store = store
        self._started_at = started_at
        self._queue = queue
        self._beats = beats
        # As of the last look, for when the store cannot be read.
        self._said: dict[str, Any] = {}
        handlers: dict[str, Handler] = {}
        quick: dict[str, Handler] = {}
        patient: dict[str, Handler] = {}
        self.post = BranchPost(
            config.id,
            config.broker,
            config.fleet,
            clock,
            started_at,
            about=self.heartbeat,
            handlers=handlers,
            quick=quick,
            numc=config.numc,
            beat=beats.beat,
            patient=patient,
        )
        self._roll = RollFile(config, clock)
        self.post.remember(self._roll.read())
        # This process is a child of supervisord's.
        self._service = make_service(config, store, self.post, os.getppid(), MAX_WAITS, metrics)
        # What a client may ask is counted where the client has asked.
        settings = replace(Settings.of(config), api_rate=0)
        answer = answerer(create_app(settings, self._service))
        handlers.update({API: answer, **self._service.catalogue.handlers()})
        quick.update(self._quick())
        patient.update({PATIENT_API: answer})
        catalogue = self._service.catalogue
        self._following = Following(
            catalogue, self.post.ask, clock, partial(beats.beat, "catalogue")
        )
        self.doubles = Doubles(self.post, store, clock, config.id)
        quick[NAMES] = self.doubles.answer
        self._meter = meter = meter or Meter()
        count = partial(counted, self._service)
        self._orphans = OrphanWatch(self._apps, count, meter, clock)
        measure = partial(host.measure, config.paths.root)
        desk = Desk(self._service, clock, measure)
        self._srs = Agent(config.broker, desk, clock, beats.beat) if config.has_srs else None

    def restore(self) -> None:
        """What a reconciler has to know before it begins."""
        if not self._config.database:
            self.doubles.restore()

    def start(self, thread: Thread, stop: threading.Event) -> None:
        self.post.start()
        if not self._config.database:
            # With one store for all there is one catalogue, and one of each name.
            thread("roll", partial(exchange.keep_roll, self._keep_roll, stop))
            thread("catalogue", partial(exchange.keep_up, self._following, self._digests, stop))
            thread("names", partial(exchange.compare_names, self._compare_names, stop))
        every_s = exchange.SHARED_EVERY_S if self._config.database else exchange.EVERY_S
        look = self._service.moves.look
        thread("orphans", partial(self._orphans.run, stop))
        thread("moves", partial(exchange.keep_moving, look, stop, every_s=every_s))
        if self._srs is not None:
            self._srs.start()

    def stop(self) -> None:
        """With a word to the others."""
        self._service.stop()
        self.post.stop()
        if self._srs is not None:
            self._srs.stop()

    def heartbeat(self) -> Heartbeat:
        """What the branch says of itself, at this moment."""
        config = self._config
        with contextlib.suppress(CymeError), self._store.reading() as view:
            instances = view.instance_count(config.id)
            self._said = {
                "instances": instances,
                "moving": progress(view.moving(config.id), instances),
                "is_draining": view.is_draining(config.id),
                "digest": view.catalogue_digest(),
            }
        return Heartbeat(
            id=config.id,
            url=config.url,
            port=config.port,
            version=__version__,
            started_at=self._started_at,
            sup_interval=config.sup_interval,
            numc=config.numc,
            loglevel=config.loglevel,
            logfile=config.logfile,
            room=descriptors.room(),
            **self._said,
            **host.measure(config.paths.root),
        )

    def _apps(self) -> list[str]:
        """Those that have instances here; of a branch that is alone all."""
        theirs = {worker.instance.app for worker in self._meter.workers}
        if self._service.fleet.is_alone:
            with contextlib.suppress(CymeError), self._store.reading() as view:
                theirs |= set(view.app_names())
        return sorted(theirs)

    def _digests(self) -> dict[str, str]:
        return {
            id: peer.heartbeat.digest
            for id, peer in self.post.peers().items()
            if peer.is_live and id != self._config.id
        }

    def _keep_roll(self) -> None:
        self._roll.keep(self.post.peers())

    def _compare_names(self) -> None:
        if names := self.doubles.look(self.post.peers()):
            self._queue.put(names)

    # What the others ask

    def _quick(self) -> dict[str, Handler]:
        service = self._service
        return {
            FIND: service.fleet.answer,
            CLAIM: service.claims.answer,
            MOVE: service.arrivals.answer,
            HINT: self._hinted,
            WATCH: service.watching.answer,
        }

    def _hinted(self, arguments: Mapping[str, Any], left_s: float) -> None:
        self._queue.hint()
