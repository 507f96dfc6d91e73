"""Queues that fill up where nobody who consumes from them begins anything."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cyme_supd.domain.progress import risen
from cyme_supd.domain.status import Backlog
from tests.unit.values import INTERVAL_S

if TYPE_CHECKING:
    from tests.simulation.world import World


class SimulatedBacklogs:
    """What one branch knows of them; it looks every interval, until it dies."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._known: dict[tuple[str, str], Backlog | None] = {}
        self._is_over = False
        world.scheduler.after(INTERVAL_S, self._look)

    def watch(self, queues: Iterable[tuple[str, str]]) -> None:
        self._known = {key: self._known.get(key) for key in queues}

    def backlog(self, broker: str, queue: str) -> Backlog | None:
        return self._known.get((broker, queue))

    def end(self) -> None:
        self._is_over = True

    def _look(self) -> None:
        if self._is_over:
            return
        for (broker, queue), before in self._known.items():
            if self._world.brokers[broker].is_up:
                messages = self._messages(broker, queue)
                self._known[broker, queue] = risen(before, messages, self._world.scheduler.now_s)
        self._world.scheduler.after(INTERVAL_S, self._look)

    def _messages(self, broker: str, queue: str) -> int:
        """One a second since the last of its consumers fell silent."""
        workers = [each.worker for each in self._world.processes if each.is_alive and each.worker]
        consumers = [each for each in workers if each.broker.url == broker and queue in each.queues]
        if not consumers or not all(each.is_deaf for each in consumers):
            return 0
        return int(self._world.scheduler.now_s - max(each.deaf_at for each in consumers))
