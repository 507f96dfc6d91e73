"""One thread at one platform queue: it takes, commits, and only then acknowledges."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from kombu import Connection

from cyme_supd.brokers import connections
from cyme_supd.brokers.reconnecting import keep_connected
from cyme_supd.clock import Clock
from cyme_supd.domain.ledger import Record
from cyme_supd.domain.ledgerstore import EVENTS, MONITOR, Gap, LedgerEdit, Source
from cyme_supd.domain.taskmessage import Message, Redaction, Refused
from cyme_supd.domain.tracking import Place
from cyme_supd.errors import CymeError, Invalid
from cyme_supd.monitor.amqp import AmqpTaker
from cyme_supd.monitor.reading import Batch, Letter, Reader, noted
from cyme_supd.monitor.redis import RedisTaker

log = logging.getLogger(__name__)

IDLE_S = 0.5
RETRY_S = 1.0
#: How often it is written down that somebody is there.
MARK_EVERY_S = 5.0
#: Who was away for longer has left a gap.
AWAY_S = 30.0


class Edit(LedgerEdit, Protocol):
    def sources(self) -> list[Source]: ...


Recording = Callable[[], AbstractContextManager[Any]]


def _observe(source: str, record: Record, tx: Edit) -> None:
    tx.observe(source, [record])


class Station:
    """``recording()`` opens a transaction; *owner* is this monitor alone at every broker."""

    def __init__(
        self,
        place: Place,
        owner: str,
        recording: Recording,
        redaction: Redaction,
        clock: Clock,
        beat: Callable[[str], None],
    ) -> None:
        self.place = place
        self.name = f"monitor:{place.source}"
        self.is_connected = False
        self._owner = owner
        self._recording = recording
        self._clock = clock
        self._beat = beat
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._reader = Reader(place.source, redaction)
        self._server = ""
        self._marked_at = 0.0
        self._is_new = True

    def start(self) -> None:
        threading.Thread(target=self._run, name=self.name, daemon=True).start()

    def stop(self) -> None:
        """Let the thread end; it is not waited for, nor shows signs of life any more."""
        with self._lock:
            self._stop.set()

    def _moved(self) -> None:
        with self._lock:
            if not self._stop.is_set():
                self._beat(self.name)

    def _run(self) -> None:
        keep_connected(
            self._connection,
            self._serve,
            self._stop.is_set,
            self._stop.wait,
            log,
            f"{self.name} waits",
            (Invalid,),
        )

    def _connection(self) -> Connection:
        self._moved()
        return connections.connection(self.place.broker)

    def _serve(self, connection: Connection) -> None:
        try:
            self._record(self._taker(connection))
        finally:
            self.is_connected = False

    def _record(self, taker: AmqpTaker | RedisTaker) -> None:
        # What was taken and not acknowledged comes again.
        self._reader.batch = Batch()
        self._reader.missed_some()
        self._server = taker.server or self._server
        self._arrive(taker.is_whole)
        self.is_connected = True
        while not self._stop.is_set():
            self._moved()
            for letter in taker.take(IDLE_S):
                self._read(letter)
            if self._is_committed():
                taker.done()

    def _taker(self, connection: Connection) -> AmqpTaker | RedisTaker:
        kind = connection.transport.driver_type
        if kind == "amqp":
            return AmqpTaker(connection, self.place)
        if kind == "redis":
            return RedisTaker(connection, self.place, self._owner)
        raise Invalid(f"tasks at {kind} cannot be tracked", "RabbitMQ, Redis and Valkey can")

    def _read(self, letter: Letter) -> None:
        now = self._clock.now().timestamp()
        try:
            self._reader.read(letter, now)
        except Exception as exc:
            # Whatever it is: it must not come again and again, and keep all others waiting.
            log.exception("%s: a message could not be read", self.name)
            self._reader.refuse(letter, Refused("not read", type(exc).__name__), now)

    def _arrive(self, is_whole: bool) -> None:
        """Write down since when nobody was here, and whether events are lost for it."""

        def note(tx: Edit) -> None:
            now = self._clock.now().timestamp()
            known = self._known(tx)
            since = known.watched_at
            if since and now - since > AWAY_S and self._is_new:
                reason = "no monitor was there: what was published has waited"
                tx.add_gap(Gap(known.key, MONITOR, since, now, reason))
            if since and not is_whole:
                reason = "who listens was away, or its broker was started anew"
                tx.add_gap(Gap(known.key, EVENTS, since, now, reason))
            tx.save_source(replace(known, watched_at=now, server=self._server or known.server))

        while not self._stop.is_set() and not self._is_done(note):
            self._stop.wait(RETRY_S)
        self._is_new = False

    def _is_committed(self) -> bool:
        """Whether all that was taken is stored; it is tried until it is, or all ends."""
        batch = self._reader.batch
        now = self._clock.monotonic()
        if not batch and now - self._marked_at < MARK_EVERY_S:
            # Heartbeats alone can wait for the next mark: nothing is lost with them.
            return True
        while not self._is_saved(batch):
            self._moved()
            if self._stop.wait(RETRY_S):
                return False
        self._marked_at = self._clock.monotonic()
        self._reader.batch = Batch()
        return True

    def _is_saved(self, batch: Batch) -> bool:
        try:
            return self._is_done(lambda tx: self._save(tx, batch))
        except Invalid:
            self._leave_out(batch)
            return False

    def _leave_out(self, batch: Batch) -> None:
        """What no database takes is refused: one message must not keep all others back."""
        for id, record in list(batch.records.items()):
            try:
                self._is_done(partial(_observe, self.place.source, record))
            except Invalid as exc:
                del batch.records[id]
                batch.messages.pop(id, None)
                why = Refused("not storable", str(exc))
                self._reader.refuse(Letter(Message(b"")), why, self._clock.now().timestamp())

    def _save(self, tx: Edit, batch: Batch) -> None:
        tx.observe(self.place.source, batch.records.values(), batch.messages)
        tx.refuse(batch.refusals)
        for gap in batch.gaps:
            tx.add_gap(gap)
        now = self._clock.now().timestamp()
        tx.save_source(noted(self._known(tx), batch, now, self._server))

    def _known(self, tx: Edit) -> Source:
        # Nobody else changes it until the end of the transaction.
        tx.observe(self.place.source, [])
        (known,) = (each for each in tx.sources() if each.key == self.place.source)
        return replace(known, queue=self.place.queue)

    def _is_done(self, save: Callable[[Edit], None]) -> bool:
        try:
            with self._recording() as tx:
                save(tx)
            return True
        except Invalid:
            raise
        except CymeError as exc:
            log.warning("%s: what was seen is kept back: %s", self.name, exc)
            return False
