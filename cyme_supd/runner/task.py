"""A runner inside a process of a worker's pool: made by the first order that comes to it."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from cyme_supd.domain.orders import RunEnd
from cyme_supd.errors import CymeError, Forbidden, Unavailable
from cyme_supd.runner.runner import Me, Runner
from cyme_supd.seal import Seal, read_key

log = logging.getLogger(__name__)

#: Where the launcher says the worker's own folder is, in the root of its branch.
LAUNCH_DIRECTORY = "CYME_LAUNCH_DIRECTORY"
#: So long a broker may be away while a process of the pool waits for it.
PATIENCE_S = 120.0
PAUSE_S = 2.0
KEY_FILE = "CYME_RUNNER_KEY_FILE"


class Lazy:
    """Opened in the process that uses it, and not in the one that was forked from."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._lock = threading.Lock()
        self._made: tuple[int, Runner] | None = None

    def handle(self, order: str, settled: Callable[[], None] = lambda: None) -> RunEnd | None:
        """As :meth:`.Runner.handle`."""
        try:
            runner = self._runner()
        except CymeError as exc:
            # Another worker may have the key: it is to get the order, in a while.
            log.error("no jobs run here: %s", exc)
            time.sleep(PAUSE_S)
            raise Unavailable(f"no jobs run here: {exc}") from exc
        end = runner.handle(order, settled)
        # A process of the pool may be ended as soon as it has nothing to do.
        if end is not None and not runner.flush(PATIENCE_S):
            log.error("the broker was not told yet how a run ended")
        return end

    def _runner(self) -> Runner:
        with self._lock:
            if self._made is None or self._made[0] != os.getpid():
                self._made = (os.getpid(), self._open())
            return self._made[1]

    def _open(self) -> Runner:
        own = self._environment.get(LAUNCH_DIRECTORY)
        if own is None:
            raise Forbidden("this worker is no branch's: it runs no jobs", "see cyme-runner")
        root = Path(own).parents[1]
        seal = Seal(read_key(self._environment.get(KEY_FILE) or root / "runner.key"))
        me = Me(socket.gethostname(), Path(own).name, os.getpid())
        broker = self._environment.get("CELERY_BROKER_URL", "memory://")
        return Runner(broker, seal, root, me)
