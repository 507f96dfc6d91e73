"""The process ``cyme:web``: the service behind HTTP.

``python -m cyme_supd.branch.web ROOT``, as supervisord runs it.
"""

from __future__ import annotations

import os
import sys
from functools import partial

from cyme_supd.branch import host
from cyme_supd.branch.logs import keep_audit, set_up_logging
from cyme_supd.branch.wiring import make_service
from cyme_supd.clock import SystemClock
from cyme_supd.config import Config, load
from cyme_supd.mailbox.post import Post
from cyme_supd.mailbox.roll import RollFile
from cyme_supd.metrics import KeptMetrics
from cyme_supd.service import Service
from cyme_supd.store.engine import database_url
from cyme_supd.store.repository import SqlStore
from cyme_supd.web.serve import serve
from cyme_supd.web.settings import Settings


def service(config: Config, max_waits: int) -> Service:
    """Made in each process after its fork."""
    store = SqlStore(database_url(config), config.broker, branch=config.id)
    clock = SystemClock()
    post = Post(config.id, config.broker, config.fleet, clock)
    post.remember(RollFile(config, clock).read())
    post.start()
    metrics = KeptMetrics(config.paths.metrics, "web", clock)
    metrics.start()
    # This process is a child of the program's, and that of supervisord.
    return make_service(config, store, post, host.parent(os.getppid()), max_waits, metrics)


def main(argv: list[str]) -> None:
    config = load(argv[1])
    set_up_logging(config.loglevel)
    keep_audit(config.paths.audit)
    settings = Settings.of(config)
    serve(settings, partial(service, config, settings.max_waits))


if __name__ == "__main__":
    main(sys.argv)
