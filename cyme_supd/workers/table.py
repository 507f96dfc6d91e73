"""The observation table: every node's latest answers, and when they came."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

from cyme_supd.domain.status import Answer


@dataclass(frozen=True, slots=True)
class _Heard:
    """What has been heard of one node; instants are monotonic."""

    stats_at: float | None = None
    pid: int = 0
    autoscale: tuple[int, int] | None = None
    queues_at: float | None = None
    queues: frozenset[str] = frozenset()

    @property
    def facts(self) -> tuple[object, ...]:
        return (
            self.stats_at is None,
            self.pid,
            self.autoscale,
            self.queues_at is None,
            self.queues,
        )


class Table:
    """Written by the collectors, read by the reconciler."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heard: dict[str, _Heard] = {}

    def stats(self, node: str, body: Any, at: float) -> bool:
        """Take an answer to ``stats``; whether it says something new."""
        scaler = body.get("autoscaler") or {}
        limits = (scaler["max"], scaler["min"]) if "max" in scaler and "min" in scaler else None
        return self._put(node, stats_at=at, pid=int(body["pid"]), autoscale=limits)

    def queues(self, node: str, body: Any, at: float) -> bool:
        """Take an answer to ``active_queues``; whether it says something new."""
        names = frozenset(str(queue["name"]) for queue in body)
        return self._put(node, queues_at=at, queues=names)

    def answer(self, node: str) -> Answer | None:
        """Both answers together, as old as the older one."""
        with self._lock:
            heard = self._heard.get(node)
        if heard is None or heard.stats_at is None or heard.queues_at is None:
            return None
        at = min(heard.stats_at, heard.queues_at)
        return Answer(at=at, pid=heard.pid, autoscale=heard.autoscale, queues=heard.queues)

    def forget(self, node: str) -> None:
        with self._lock:
            self._heard.pop(node, None)

    def _put(self, node: str, **changes: Any) -> bool:
        with self._lock:
            before = self._heard.get(node, _Heard())
            after = self._heard[node] = replace(before, **changes)
        return before.facts != after.facts
