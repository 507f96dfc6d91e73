"""The process ``cyme:web``: where the service's ports meet their adapters.

``python -m cyme_supd.branch.web ROOT``, as supervisord runs it.
"""

from __future__ import annotations

import os
import sys
from functools import partial

from cyme_supd.branch.hints import HintSender
from cyme_supd.branch.logs import set_up_logging
from cyme_supd.clock import SystemClock
from cyme_supd.config import Config, load
from cyme_supd.service import Service, ThisBranch
from cyme_supd.store.engine import sqlite_url
from cyme_supd.store.repository import SqlStore
from cyme_supd.web.serve import serve
from cyme_supd.web.settings import Settings
from cyme_supd.workers.backends import CeleryBackends
from cyme_supd.workers.depths import BrokerQueues
from cyme_supd.workers.launches import WorkerLogs
from cyme_supd.workers.pidbox import WorkerQuestions
from cyme_supd.workers.publisher import UrlPublisher


def make_service(config: Config, max_waits: int) -> Service:
    """Called in each process after its fork: a connection does not cross one."""
    clock = SystemClock()
    return Service(
        store=SqlStore(sqlite_url(config.database), config.broker),
        hints=HintSender(config.paths.hints),
        questions=WorkerQuestions(clock),
        broker_queues=BrokerQueues(),
        logs=WorkerLogs(config.paths.instances),
        clock=clock,
        publisher=UrlPublisher(clock, config.id),
        backends=CeleryBackends(),
        here=ThisBranch(
            id=config.id,
            broker=config.broker,
            is_root=os.geteuid() == 0,
            sup_interval=config.sup_interval,
            targets=config.targets,
            task_key=bytes.fromhex(config.task_key),
            results_expire_s=config.results_expire_s,
        ),
        max_waits=max_waits,
    )


def main(argv: list[str]) -> None:
    config = load(argv[1])
    set_up_logging(config.loglevel)
    settings = Settings.of(config)
    serve(settings, partial(make_service, config, settings.max_waits))


if __name__ == "__main__":
    main(sys.argv)
