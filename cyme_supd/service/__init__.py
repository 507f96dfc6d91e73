"""The use-cases: what a request may ask, each a few lines over the ports.

Nothing here acts on a worker. A change edits the store, nudges the
reconciler, and waits until what was asked for is *observed*.
"""

from __future__ import annotations

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
from cyme_supd.service.apps import AppDetails, AppReply, Apps
from cyme_supd.service.branches import BranchDetails, Branches
from cyme_supd.service.consumers import Consumed, Consumers
from cyme_supd.service.context import Context, ThisBranch
from cyme_supd.service.health import Health, HealthCheck
from cyme_supd.service.instances import InstanceReply, Instances, Stats
from cyme_supd.service.looking import Details
from cyme_supd.service.pauses import Pauses
from cyme_supd.service.queues import QueueDetails, QueueReply, Queues
from cyme_supd.service.rollouts import Progress, Rollouts
from cyme_supd.service.tasks import Tasks, TaskView
from cyme_supd.service.waiting import Outcome, Waits

__all__ = [
    "AppDetails",
    "AppReply",
    "Apps",
    "BranchDetails",
    "Branches",
    "Consumed",
    "Consumers",
    "Details",
    "Health",
    "HealthCheck",
    "InstanceReply",
    "Instances",
    "Outcome",
    "Pauses",
    "Progress",
    "QueueDetails",
    "QueueReply",
    "Queues",
    "Rollouts",
    "Service",
    "Stats",
    "TaskView",
    "Tasks",
    "ThisBranch",
]


class Service:
    """One object a noun: ``apps``, ``instances``, ``queues``, ``consumers``, ...

    Safe to share between threads if its ports are. At most *max_waits*
    requests wait at a time; those beyond are answered at once.
    """

    def __init__(
        self,
        *,
        store: Store,
        hints: Hints,
        questions: WorkerQuestions,
        broker_queues: BrokerQueues,
        logs: Logs,
        publisher: Publisher,
        backends: Backends,
        clock: Clock,
        here: ThisBranch,
        max_waits: int = 16,
    ) -> None:
        self._waits = Waits(store, logs, clock, here, max_waits)
        context = Context(
            store=store,
            hints=hints,
            questions=questions,
            broker_queues=broker_queues,
            logs=logs,
            publisher=publisher,
            backends=backends,
            clock=clock,
            here=here,
            waits=self._waits,
        )
        self.here = here
        self.apps = Apps(context)
        self.instances = Instances(context)
        self.queues = Queues(context)
        self.consumers = Consumers(context)
        self.pauses = Pauses(context)
        self.rollouts = Rollouts(context)
        self.tasks = Tasks(context)
        self.branches = Branches(context)
        self.health = HealthCheck(context)

    def stop(self) -> None:
        """End every wait with ``Unavailable``: the process is about to go."""
        self._waits.stop()
