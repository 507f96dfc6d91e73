"""All that the store in memory holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from cyme_supd.domain.access import Token, User
from cyme_supd.domain.audit import Event
from cyme_supd.domain.claim import Claim
from cyme_supd.domain.job import Job, Run, RunEvent, RunOutput
from cyme_supd.domain.moving import Moving
from cyme_supd.domain.rollout import RolloutStatus
from cyme_supd.domain.samples import Sample
from cyme_supd.domain.sessions import Session
from cyme_supd.domain.spec import App, Instance, Queue
from cyme_supd.domain.status import Branch, Status
from cyme_supd.domain.task import Task
from cyme_supd.domain.transitions import Transition
from cyme_supd.testing.catalogue import Versions
from cyme_supd.testing.ledgerstate import LedgerState


@dataclass
class State:
    apps: dict[str, App] = field(default_factory=dict)
    queues: dict[tuple[str, str], Queue] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    statuses: dict[str, Status] = field(default_factory=dict)
    branches: dict[str, Branch] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    rollouts: dict[tuple[str, str], RolloutStatus] = field(default_factory=dict)
    catalogue: Versions = field(default_factory=Versions)
    claims: dict[str, Claim] = field(default_factory=dict)
    draining: set[str] = field(default_factory=set)
    leases: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    moving: dict[str, Moving] = field(default_factory=dict)
    receipts: dict[str, bool] = field(default_factory=dict)
    audit: list[Event] = field(default_factory=list)
    users: dict[str, User] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    #: By branch, moment and app. Replaced and never changed, as what is below.
    samples: dict[tuple[str, datetime, str], Sample] = field(default_factory=dict)
    transitions: list[Transition] = field(default_factory=list)
    categories: set[str] = field(default_factory=set)
    jobs: dict[str, Job] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    run_events: list[RunEvent] = field(default_factory=list)
    run_outputs: dict[str, RunOutput] = field(default_factory=dict)
    withdrawals: dict[str, datetime] = field(default_factory=dict)
    shared_keys: dict[str, str] = field(default_factory=dict)
    ledger: LedgerState = field(default_factory=LedgerState)

    def copy(self) -> State:
        return State(
            dict(self.apps),
            dict(self.queues),
            dict(self.instances),
            dict(self.statuses),
            dict(self.branches),
            dict(self.tasks),
            dict(self.rollouts),
            self.catalogue.copy(),
            dict(self.claims),
            set(self.draining),
            dict(self.leases),
            dict(self.moving),
            dict(self.receipts),
            # Only ever added to, and that at a commit: to copy it would cost more and more.
            self.audit,
            dict(self.users),
            dict(self.tokens),
            dict(self.sessions),
            self.samples,
            self.transitions,
            set(self.categories),
            dict(self.jobs),
            dict(self.runs),
            list(self.run_events),
            dict(self.run_outputs),
            dict(self.withdrawals),
            dict(self.shared_keys),
            self.ledger.copy(),
        )
