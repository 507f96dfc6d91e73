"""What every use-case needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cyme_supd.clock import Clock
from cyme_supd.domain.broker_ports import Backends, BrokerQueues, Publisher, TaskBroker
from cyme_supd.domain.launch import Launch
from cyme_supd.domain.mailbox import Mailbox, Presence
from cyme_supd.domain.ports import Hints, Launched, Logs, Store, Strays, WorkerQuestions
from cyme_supd.domain.runstore import RunLogs
from cyme_supd.domain.spec import Worker
from cyme_supd.metrics import Metrics
from cyme_supd.service.audit import Audit
from cyme_supd.service.claims import Claims
from cyme_supd.service.fleet import Fleet
from cyme_supd.service.observed import ThisBranch
from cyme_supd.service.waiting import Waits

__all__ = ["Context", "ThisBranch"]


@dataclass(frozen=True, slots=True)
class Context:
    """The ports, the branch, how it launches workers, and the waits its requests share."""

    store: Store
    hints: Hints
    questions: WorkerQuestions
    broker_queues: BrokerQueues
    logs: Logs
    run_logs: RunLogs
    publisher: Publisher
    task_broker: TaskBroker
    backends: Backends
    launched: Launched
    launch_of: Callable[[Worker], Launch]
    strays: Strays
    mailbox: Mailbox
    presence: Presence
    fleet: Fleet
    claims: Claims
    clock: Clock
    here: ThisBranch
    waits: Waits
    audit: Audit
    metrics: Metrics
