"""The service with its adapters, as each process of the branch makes one for itself."""

from __future__ import annotations

import os
from functools import partial
from typing import Protocol

from cyme_supd.branch.hints import HintSender
from cyme_supd.branch.lease import holder_of
from cyme_supd.branch.meter import CountingPublisher
from cyme_supd.branch.strays import HostStrays
from cyme_supd.clock import SystemClock
from cyme_supd.config import Config
from cyme_supd.domain.mailbox import Mailbox, Presence
from cyme_supd.metrics import Metrics
from cyme_supd.service import Service, ThisBranch
from cyme_supd.store.repository import SqlStore
from cyme_supd.workers.backends import CeleryBackends
from cyme_supd.workers.depths import BrokerQueues
from cyme_supd.workers.launches import LaunchedFiles, WorkerLogs, launch_of
from cyme_supd.workers.publisher import UrlPublisher
from cyme_supd.workers.questions import WorkerQuestions
from cyme_supd.workers.runlogs import RunLogFiles
from cyme_supd.workers.taskbroker import KombuTaskBroker


class Others(Mailbox, Presence, Protocol):
    """Who else is there, and how to reach them."""


def make_service(
    config: Config,
    store: SqlStore,
    post: Others,
    supervisord: int,
    max_waits: int,
    metrics: Metrics | None = None,
) -> Service:
    """*post* reaches the other branches, *supervisord* is a pid.

    Called after any fork: a connection does not cross one.
    """
    clock, metrics = SystemClock(), metrics or Metrics()
    return Service(
        store=store,
        hints=HintSender(config.paths.hints),
        questions=WorkerQuestions(clock),
        broker_queues=BrokerQueues(),
        logs=WorkerLogs(config.paths.instances),
        run_logs=RunLogFiles(config.paths.root),
        clock=clock,
        publisher=CountingPublisher(UrlPublisher(clock, config.id), metrics),
        task_broker=KombuTaskBroker(),
        backends=CeleryBackends(),
        launched=LaunchedFiles(config.paths.instances),
        launch_of=partial(launch_of, config),
        strays=HostStrays(config.paths.instances, supervisord, clock),
        mailbox=post,
        presence=post,
        here=ThisBranch(
            id=config.id,
            broker=config.broker,
            is_root=os.geteuid() == 0,
            sup_interval=config.sup_interval,
            targets=config.targets,
            task_key=bytes.fromhex(config.task_key),
            results_expire_s=config.results_expire_s,
            is_shared=bool(config.database),
            is_exposed=config.is_exposed,
            holder=holder_of(config.root),
            run_log_url=config.run_log_url,
        ),
        max_waits=max_waits,
        metrics=metrics,
    )
