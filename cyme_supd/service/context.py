"""What every use-case needs."""

from __future__ import annotations

from dataclasses import dataclass

from cyme_supd.clock import Clock
from cyme_supd.domain.ports import (
    Backends,
    BrokerQueues,
    Hints,
    Logs,
    Publisher,
    Store,
    WorkerQuestions,
)
from cyme_supd.service.observed import ThisBranch
from cyme_supd.service.waiting import Waits

__all__ = ["Context", "ThisBranch"]


@dataclass(frozen=True, slots=True)
class Context:
    """The ports, the branch, and the waits that its requests share."""

    store: Store
    hints: Hints
    questions: WorkerQuestions
    broker_queues: BrokerQueues
    logs: Logs
    publisher: Publisher
    backends: Backends
    clock: Clock
    here: ThisBranch
    waits: Waits
