"""The use-cases: what a request may ask, each a few lines over the ports.

Nothing here acts on a worker. A change edits the store, nudges the
reconciler, and waits until what was asked for is *observed*.
"""

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
from cyme_supd.service.access import Access, MadeToken
from cyme_supd.service.apps import AppDetails, AppReply, Apps
from cyme_supd.service.arrivals import Arrivals
from cyme_supd.service.audit import Audit, AuditedStore
from cyme_supd.service.branches import BranchDetails, Branches
from cyme_supd.service.catalogue import Catalogue, Pushed
from cyme_supd.service.claims import Claims
from cyme_supd.service.consumers import Consumed, Consumers
from cyme_supd.service.context import Context, ThisBranch
from cyme_supd.service.fleet import Fleet, Question, Replies, Reply
from cyme_supd.service.health import Health, HealthCheck
from cyme_supd.service.history import History
from cyme_supd.service.instances import InstanceReply, Instances, Stats
from cyme_supd.service.jobs import JobDetails, Jobs, NotHeldHere, Replaced
from cyme_supd.service.looking import Details
from cyme_supd.service.measures import JobsMeasured, Measured, Measures, Measuring
from cyme_supd.service.moves import Moves
from cyme_supd.service.orphans import Orphans
from cyme_supd.service.overview import Overview, Overviews, Seen
from cyme_supd.service.pauses import Pauses
from cyme_supd.service.plans import Plan, Plans
from cyme_supd.service.queues import QueueDetails, QueueReply, Queues
from cyme_supd.service.rehearsal import Stage
from cyme_supd.service.retrying import Retried, Retrying
from cyme_supd.service.rollouts import Progress, Rollouts
from cyme_supd.service.roster import Roster
from cyme_supd.service.runs import Printed, RunDetails, Runs
from cyme_supd.service.runtails import RunTail
from cyme_supd.service.sessions import Sessions, SignIn
from cyme_supd.service.tails import Said, Tail, Tails
from cyme_supd.service.tasks import NotQueuedHere, Tasks, TaskView
from cyme_supd.service.tracking import Joining, TaskDetails, Tracking
from cyme_supd.service.troubles import Troubles
from cyme_supd.service.waiting import Outcome, Waits
from cyme_supd.service.watching import Watching

__all__ = [
    "Access",
    "AppDetails",
    "AppReply",
    "Apps",
    "Arrivals",
    "BranchDetails",
    "Branches",
    "Catalogue",
    "Consumed",
    "Consumers",
    "Details",
    "Fleet",
    "Health",
    "HealthCheck",
    "History",
    "InstanceReply",
    "Instances",
    "JobDetails",
    "Jobs",
    "JobsMeasured",
    "Joining",
    "MadeToken",
    "Measured",
    "Measures",
    "Moves",
    "NotHeldHere",
    "NotQueuedHere",
    "Orphans",
    "Outcome",
    "Overview",
    "Pauses",
    "Plan",
    "Plans",
    "Printed",
    "Progress",
    "Pushed",
    "Question",
    "QueueDetails",
    "QueueReply",
    "Queues",
    "Rehearsal",
    "Replaced",
    "Replies",
    "Reply",
    "Retried",
    "Retrying",
    "Rollouts",
    "Roster",
    "RunDetails",
    "RunTail",
    "Runs",
    "Said",
    "Seen",
    "Service",
    "Sessions",
    "SignIn",
    "Stats",
    "Tail",
    "Tails",
    "TaskDetails",
    "TaskView",
    "Tasks",
    "ThisBranch",
    "Tracking",
    "Troubles",
    "Waits",
    "Watching",
]


class Service:
    """One object a noun: ``apps``, ``instances``, ``queues``, ``consumers``, ...

    Safe to share between threads if its ports are. At most *max_waits*
    requests wait at a time; those beyond are answered at once. *metrics* is where
    what is done is counted, and what all of the branch have counted.
    """

    def __init__(
        self,
        *,
        store: Store,
        hints: Hints,
        questions: WorkerQuestions,
        broker_queues: BrokerQueues,
        logs: Logs,
        run_logs: RunLogs,
        publisher: Publisher,
        task_broker: TaskBroker,
        backends: Backends,
        launched: Launched,
        launch_of: Callable[[Worker], Launch],
        strays: Strays,
        mailbox: Mailbox,
        presence: Presence,
        clock: Clock,
        here: ThisBranch,
        max_waits: int = 16,
        metrics: Metrics | None = None,
    ) -> None:
        store = AuditedStore(store, clock, here.id)
        self.metrics = metrics or Metrics()
        self.waits = Waits(store, logs, clock, here, max_waits)
        self.catalogue = Catalogue(store, hints, clock)
        self.fleet = Fleet(mailbox, presence, store, self.catalogue, here)
        self._context = context = Context(
            store=store,
            hints=hints,
            questions=questions,
            broker_queues=broker_queues,
            logs=logs,
            run_logs=run_logs,
            publisher=publisher,
            task_broker=task_broker,
            backends=backends,
            launched=launched,
            launch_of=launch_of,
            strays=strays,
            mailbox=mailbox,
            presence=presence,
            fleet=self.fleet,
            claims=Claims(self.fleet, mailbox, store, clock),
            clock=clock,
            here=here,
            waits=self.waits,
            audit=Audit(store, clock, here.id),
            metrics=self.metrics,
        )
        self.here = here
        self.clock = clock
        self.audit = context.audit
        self.claims = context.claims
        self.access = Access(context)
        self.sessions = Sessions(context, self.access)
        self.apps = Apps(context)
        self.instances = Instances(context)
        self.queues = Queues(context)
        self.consumers = Consumers(context)
        self.pauses = Pauses(context)
        self.rollouts = Rollouts(context)
        self.plans = Plans(context)
        self.orphans = Orphans(context)
        self.tracking = Tracking(context)
        self.retrying = Retrying(context)
        self.overviews = Overviews(context)
        self.watching = Watching(context)
        self.tails = Tails(context)
        self.history = History(context)
        self.tasks = Tasks(context)
        self.jobs = Jobs(context)
        self.runs = Runs(context)
        self.troubles = Troubles(context)
        self.branches = Branches(context)
        self.arrivals = Arrivals(context)
        self.moves = Moves(context, self.arrivals)
        self.roster = Roster(context)
        self.health = HealthCheck(context)
        self.measuring = Measuring(context, self.metrics)

    def stop(self) -> None:
        """End every wait with ``Unavailable``: the process is about to go."""
        self.waits.stop()

    def rehearsal(self) -> Rehearsal:
        """The same use-cases on a stage, where nothing that is changed is stored."""
        own = self._context
        stage = Stage(own.store, own.broker_queues, own.here.id)
        service = Service(
            store=stage.store,
            hints=stage.hints,
            questions=own.questions,
            broker_queues=stage.broker_queues,
            logs=own.logs,
            run_logs=own.run_logs,
            publisher=stage.publisher,
            task_broker=stage.task_broker,
            backends=own.backends,
            launched=own.launched,
            launch_of=own.launch_of,
            strays=own.strays,
            mailbox=own.mailbox,
            presence=stage.presence,
            clock=own.clock,
            here=own.here,
        )
        return Rehearsal(service, lambda act: self.plans.of(stage.draft(act)))


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """``plan`` has somebody change something by ``service``, and says what would come of it."""

    service: Service
    plan: Callable[[Callable[[], object]], Plan]
