"""Workers that say what a test has them say, when web asks."""

from __future__ import annotations

from collections.abc import Sequence

from cyme_supd.domain.foresight import RunningTask
from cyme_supd.domain.orphans import Inventory
from cyme_supd.domain.spec import Worker
from cyme_supd.errors import Unavailable


class MemoryQuestions:
    """:class:`cyme_supd.domain.ports.WorkerQuestions` without a broker.

    ``answer`` is every worker's to ``stats``; who is in ``known``, by node
    name, tells what it has. ``running`` are all tasks. Those in ``busy`` tell
    nothing of these, nor stats where all are asked. ``down`` are brokers; ``asked`` the node names,
    ``asked_for_tasks`` names and brokers.
    """

    def __init__(self) -> None:
        self.answer: dict[str, object] | None = None
        self.known: dict[str, Inventory] = {}
        self.running: list[RunningTask] = []
        self.busy: set[str] = set()
        self.down: set[str] = set()
        self.asked: list[str] = []
        self.asked_for_tasks: list[tuple[str, str]] = []

    def stats(self, worker: Worker, timeout_s: float) -> dict[str, object]:
        if self.answer is None:
            raise Unavailable(f"{worker.name} did not answer within {timeout_s:g} s")
        return self.answer

    def stats_of_all(
        self, workers: Sequence[Worker], timeout_s: float
    ) -> dict[str, dict[str, object]]:
        self._check(workers)
        answer = self.answer
        return {
            worker.name: answer
            for worker in workers
            if answer is not None and worker.name not in self.busy
        }

    def active(
        self, workers: Sequence[Worker], timeout_s: float
    ) -> dict[str, tuple[RunningTask, ...]]:
        self.asked_for_tasks += [(worker.name, worker.broker) for worker in workers]
        self._check(workers)
        return {
            worker.name: tuple(task for task in self.running if task.instance == worker.name)
            for worker in workers
            if worker.name not in self.busy
        }

    def inventories(self, workers: Sequence[Worker], timeout_s: float) -> dict[str, Inventory]:
        self.asked.extend(worker.nodename for worker in workers)
        self._check(workers)
        return {
            worker.name: self.known[worker.nodename]
            for worker in workers
            if worker.nodename in self.known
        }

    def _check(self, workers: Sequence[Worker]) -> None:
        if self.down & {worker.broker for worker in workers}:
            raise Unavailable("its broker is not to be had: refused")
