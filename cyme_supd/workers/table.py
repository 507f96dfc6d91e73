"""The observation table: every node's latest answer, and when it came."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from cyme_supd.domain.status import Answer


class Table:
    """Written by the collectors, read by the reconciler."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: dict[str, Answer] = {}

    def take(self, node: str, said: Any, at: float) -> bool:
        """Keep what a node *said* of itself; whether that is news."""
        limits = said["autoscale"]
        answer = Answer(
            at=at,
            pid=int(said["pid"]),
            autoscale=None if limits is None else (int(limits[0]), int(limits[1])),
            queues={str(name): str(digest) for name, digest in said["queues"].items()},
            refused={
                str(name): (str(digest), str(reason))
                for name, (digest, reason) in said["refused"].items()
            },
        )
        with self._lock:
            before = self._answers.get(node)
            self._answers[node] = answer
        return before is None or replace(before, at=at) != answer

    def answer(self, node: str) -> Answer | None:
        with self._lock:
            return self._answers.get(node)

    def forget(self, node: str) -> None:
        with self._lock:
            self._answers.pop(node, None)
