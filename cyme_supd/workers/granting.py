"""Orders of jobs are done with when their runs are granted, however long these take.

A broker gives what is not acknowledged to others: RabbitMQ, which waits for half an
hour, closes the channel, too, and so disturbs all that its worker does. A process of
the pool cannot acknowledge, and says through a pipe to the main one that it may.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from celery import bootsteps
from celery.concurrency.prefork import TaskPool
from celery.worker import state
from celery.worker.consumer.connection import Connection

log = logging.getLogger(__name__)

_MAX_READ = 65536


class Granted:
    """Made in the main process, before there is a pool."""

    def __init__(self) -> None:
        self._main = os.getpid()
        self._reads, self._writes = os.pipe()
        os.set_blocking(self._reads, False)
        # A main process that does not read is to hold up no job: it acknowledges later.
        os.set_blocking(self._writes, False)
        self._rest = b""

    def tell(self, id: str) -> None:
        """The task of that id, which runs in this process, may be acknowledged."""
        if os.getpid() == self._main:
            return
        try:
            # In one piece: it is shorter than what a pipe takes from one at a time.
            os.write(self._writes, id.encode() + b"\n")
        except OSError as exc:
            log.debug("task %s is acknowledged when it has ended: %s", id, exc)

    def listen(self, hub: Any) -> None:
        hub.add_reader(self._reads, self._acknowledge)

    def _acknowledge(self) -> None:
        try:
            told = self._rest + os.read(self._reads, _MAX_READ)
        except BlockingIOError:
            return
        *ids, self._rest = told.split(b"\n")
        for id in ids:
            request = state.requests.get(id.decode())
            if request is not None:
                request.acknowledge()


granted = Granted()


class Granting(bootsteps.StartStopStep):  # type: ignore[misc]
    """Listens to the pool whenever the worker has connected: its hub forgets who listens."""

    requires = (Connection,)

    def start(self, consumer: Any) -> None:
        if consumer.hub is not None and isinstance(consumer.pool, TaskPool):
            granted.listen(consumer.hub)
