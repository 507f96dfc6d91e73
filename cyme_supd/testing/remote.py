"""Remote control of workers that are not there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cyme_supd.clock import Clock
from cyme_supd.domain.declaration import entry
from cyme_supd.domain.naming import direct_queue
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import Answer, Pulse


def declared(worker: Worker) -> dict[str, str]:
    """What *worker* consumes from when all is as it should be: digests by name."""
    own = {direct_queue(worker.name): ""}
    return own | {queue.name: str(entry(queue)["digest"]) for queue in worker.queues}


class FakeRemoteControl:
    """:class:`cyme_supd.domain.ports.RemoteControl` whose workers say what a test has them say.

    ``asked`` and ``commands`` keep what was put to them, in order.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begun_at = clock.monotonic()
        self._answers: dict[str, Answer] = {}
        self._pulses: dict[str, Pulse] = {}
        self.brokers: frozenset[str] = frozenset()
        self.asked: list[str] = []
        self.commands: list[tuple[str, int, int]] = []
        self.consumers: list[tuple[str, ...]] = []
        self.dropped: list[str] = []

    def answer(self, worker: Worker, pid: int | None = None) -> Answer | None:
        return self._answers.get(worker.nodename)

    def pulse(self, broker: str) -> Pulse:
        return self._pulses.get(broker, Pulse(True, self._begun_at))

    def ask(self, workers: Sequence[Worker]) -> None:
        self.asked.extend(worker.nodename for worker in workers)

    def ask_all(self) -> None:
        self.asked.append("*")

    def autoscale(self, workers: Sequence[Worker], max: int, min: int) -> None:
        self.commands.extend((worker.nodename, max, min) for worker in workers)

    def consume(self, worker: Worker, entries: Sequence[Mapping[str, Any]]) -> None:
        names = [str(entry["name"]) for entry in entries]
        self.consumers.append((worker.nodename, "consume", *names))

    def cancel(self, worker: Worker, queues: Sequence[str]) -> None:
        self.consumers.append((worker.nodename, "cancel", *queues))

    def forget(self, worker: Worker) -> None:
        self._answers.pop(worker.nodename, None)

    def drop_queue(self, worker: Worker) -> None:
        self.dropped.append(direct_queue(worker.name))

    def use(self, brokers: Iterable[str]) -> None:
        self.brokers = frozenset(brokers)

    # -- for tests

    def says(
        self,
        worker: Worker,
        pid: int,
        autoscale: tuple[int, int] | None = None,
        queues: Mapping[str, str] | None = None,
        refused: Mapping[str, tuple[str, str]] | None = None,
        **work: Any,
    ) -> None:
        """*worker*, as process *pid*, answers now; as it should be where nothing is said.

        *work* are further fields of :class:`~cyme_supd.domain.status.Answer`.
        """
        self._answers[worker.nodename] = Answer(
            at=self._clock.monotonic(),
            pid=pid,
            autoscale=worker.autoscale if autoscale is None else autoscale,
            queues=declared(worker) if queues is None else queues,
            refused=refused or {},
            **work,
        )

    def breaks(self, broker: str, reason: str = "refused") -> None:
        self._pulses[broker] = Pulse(False, self._clock.monotonic(), reason)

    def mends(self, broker: str) -> None:
        self._pulses[broker] = Pulse(True, self._clock.monotonic())
