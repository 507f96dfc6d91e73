"""What a runner has to tell of its runs: in order, and again until the broker keeps it.

In memory: who dies while the broker is away has told nobody, and its runs are
lost. Of two that say how a run is getting on the later one is enough.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque

from cyme_supd.domain.orders import Alive, Ended, Message, Output
from cyme_supd.errors import CymeError
from cyme_supd.runner.letters import said_message
from cyme_supd.seal import Seal
from cyme_supd.workers.outgoing import NoRoute, Outgoing
from cyme_supd.workers.reports import results_queue

log = logging.getLogger(__name__)

TIMEOUT_S = 5.0
BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)


class Outbox:
    """Any thread puts; one of its own sends."""

    def __init__(self, broker: str, seal: Seal) -> None:
        self._seal = seal
        self._outgoing = Outgoing(broker, TIMEOUT_S)
        self._changed = threading.Condition()
        self._waiting: deque[tuple[str, Message]] = deque()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def put_now(self, queue: str, said: Message) -> None:
        """Have the broker keep it before this returns; ``Unavailable`` where it does not."""
        message = said_message(self._seal, said)
        try:
            self._outgoing.put(queue, [message])
        except NoRoute:
            # The branch has not been there yet: it finds the queue when it is.
            with self._outgoing.channel() as channel:
                results_queue(queue)(channel).declare()
            self._outgoing.put(queue, [message])

    def put(self, queue: str, said: Message) -> None:
        with self._changed:
            if isinstance(said, Alive | Output):
                older = [
                    each
                    for each in self._waiting
                    if type(each[1]) is type(said) and each[1].run == said.run
                ]
                # The first may be on its way at this moment; twice is harmless.
                for each in older:
                    self._waiting.remove(each)
            self._waiting.append((queue, said))
            self._changed.notify_all()

    def flush(self, within_s: float) -> bool:
        """Wait until the broker keeps how runs ended that were put; whether it does."""
        with self._changed:
            return self._changed.wait_for(self._has_told_ends, within_s)

    def _has_told_ends(self) -> bool:
        return not any(isinstance(said, Ended) for _, said in self._waiting)

    def close(self, within_s: float) -> bool:
        """Send what waits; whether all of it was."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join(within_s)
        self._outgoing.close()
        return not self._waiting

    def _run(self) -> None:
        failures = 0
        while (first := self._first()) is not None:
            try:
                self.put_now(*first)
            except Exception as exc:
                self._complain(exc, failures)
                time.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
                failures += 1
                continue
            failures = 0
            with self._changed:
                if first in self._waiting:
                    self._waiting.remove(first)
                self._changed.notify_all()

    def _first(self) -> tuple[str, Message] | None:
        with self._changed:
            while not self._waiting and not self._is_closing:
                self._changed.wait()
            return self._waiting[0] if self._waiting else None

    def _complain(self, exc: Exception, failures: int) -> None:
        level = logging.DEBUG if failures else logging.WARNING
        is_foreseen = isinstance(exc, CymeError)
        log.log(level, "what is told of runs waits: %s", exc, exc_info=not is_foreseen)
