"""Queued URLs, and what became of them."""

from __future__ import annotations

import time
from typing import Any

from cyme_supd.client.calls import segment
from cyme_supd.client.connection import Connection
from cyme_supd.client.parts import Answer
from cyme_supd.errors import Timeout

#: Longest that a branch waits for the end of a task.
MAX_WAIT_S = 60.0


class Task:
    """A URL that a worker requests, or any task of an application with a ``result_backend``."""

    def __init__(self, connection: Connection, app: str, id: str) -> None:
        self._connection = connection
        self._path = f"/{segment('app', app)}/query/{segment('task', id)}/"
        self.id = id

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id!r}>"

    @property
    def state(self) -> str:
        """Celery's word for how far it is: ``PENDING``, ``SUCCESS``, ``FAILURE``, ..."""
        return str(self._connection.read(f"{self._path}state/")["state"])

    def result(self) -> Answer:
        """``{"state", "result"}``, and ``error`` where it has failed.

        ``result`` is ``None`` until it has ended. Of a URL it is
        ``{"status_code", "headers", "body", "encoding", "truncated",
        "elapsed_s", "url"}``.
        """
        return self._connection.read(f"{self._path}result/")

    def wait(self, timeout: float | None = None) -> Answer:
        """The same once it has ended; raises ``Timeout`` where it has not in *timeout* seconds."""
        wanted_s = self._connection.timeout_s if timeout is None else timeout
        ends_at = time.monotonic() + wanted_s
        while True:
            left_s = ends_at - time.monotonic()
            try:
                return self._waited(min(max(left_s, 0.0), MAX_WAIT_S))
            except Timeout:
                if left_s <= MAX_WAIT_S:
                    raise

    def _waited(self, timeout_s: float) -> Answer:
        params: dict[str, Any] = {"timeout": round(timeout_s, 3)}
        return self._connection.read(f"{self._path}wait/", **params)
