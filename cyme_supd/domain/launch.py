"""What a worker is launched with: words, settings, and a digest of both.

The branch writes this to a file; the launcher reads it and becomes the
worker. What can change in a running worker (queues, limits) is in it too,
so that one that crashed boots with today's, but not in ``identity``: drift
there is repaired over remote control, drift in ``identity`` needs a new
process.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cyme_supd.domain.declaration import entry
from cyme_supd.domain.naming import direct_queue
from cyme_supd.domain.pause import held
from cyme_supd.domain.rollout import numbered
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.target import NOTHING_SAID, Policy
from cyme_supd.domain.tracking import place_of

#: Settings every worker gets unless its app says otherwise.
BASE_CONFIG: Mapping[str, Any] = {
    # Without it an autoscaled worker with late acknowledgement is left with
    # a prefetch of one after the first reconnect, and never recovers.
    "worker_enable_prefetch_count_reduction": False,
    "broker_connection_retry_on_startup": True,
}


@dataclass(frozen=True, slots=True)
class Launch:
    """``identity`` is the sha256 of all that needs a new process to change;
    ``digest`` that of everything. Behind the identity stands the number of the
    last rolling restart, which alone replaces nobody before its turn."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str | None
    user: str | None
    boot: Mapping[str, Any]
    identity: str
    digest: str

    def as_dict(self) -> dict[str, Any]:
        return {
            "argv": list(self.argv),
            "environment": dict(self.environment),
            "directory": self.directory,
            "user": self.user,
            "boot": dict(self.boot),
            "identity": self.identity,
            "digest": self.digest,
        }


def launch(
    worker: Worker,
    command: str,
    boot_path: str,
    loglevel: str,
    reply_to: str,
    targets: Policy = NOTHING_SAID,
) -> Launch:
    """How *worker* is started.

    *command* is the ``celery`` to run where the app names none, *boot_path*
    the folder of the module that worker imports first, *reply_to* the
    routing key at which the branch hears it is ready, *targets* which URLs
    the bundled app may request.
    """
    boot = {
        "app": worker.app.celery_app,
        "config": _config(worker),
        "queues": [direct_entry(worker), *(entry(queue) for queue in worker.queues)],
        "reply_to": reply_to,
        "node": worker.nodename,
        "path": boot_path,
    }
    if worker.app.celery_app is None:
        boot["targets"] = targets.as_dict()
    if paused := held(worker):
        boot["held"] = paused
    tracked = _tracked(worker)
    if tracked:
        boot["tracked"] = tracked
    fixed = _fixed_words(worker, worker.app.command or command, loglevel)
    environment = {
        **worker.app.environment,
        "CELERY_BROKER_URL": worker.broker,
        "CELERY_BROKER_READ_URL": worker.broker,
        "CELERY_BROKER_WRITE_URL": worker.broker,
    }
    identity = _sha256(
        [
            fixed,
            environment,
            worker.app.directory,
            worker.app.user,
            boot["app"],
            boot["config"],
            boot["reply_to"],
            boot.get("targets"),
            worker.instance.restarts,
            None if worker.is_autoscaled else worker.autoscale,
            # Not a value more where it makes no difference: workers would be replaced.
            *([[tracked["platform"], tracked["exchange"]]] if tracked else []),
        ]
    )
    identity = numbered(identity, worker.app.rollout)
    argv = (*fixed, *_scale_words(worker))
    return Launch(
        argv=argv,
        environment=environment,
        directory=worker.app.directory,
        user=worker.app.user,
        boot=boot,
        identity=identity,
        digest=_sha256([argv, boot, identity]),
    )


def _fixed_words(worker: Worker, command: str, loglevel: str) -> tuple[str, ...]:
    # Without mingle and gossip a worker is ready in a third of the time, and
    # a fleet's chatter does not grow with the square of its size.
    return (
        command,
        "-A",
        "cyme_boot:app",
        "worker",
        "-n",
        worker.nodename,
        "-Q",
        direct_queue(worker.name),
        "-P",
        worker.pool,
        "--loglevel",
        loglevel,
        "--without-mingle",
        "--without-gossip",
        # What becomes of its tasks is told.
        *(("--task-events",) if worker.app.is_tracked else ()),
        *worker.arguments,
    )


def _scale_words(worker: Worker) -> tuple[str, ...]:
    most, least = worker.autoscale
    if worker.is_autoscaled:
        return (f"--autoscale={most},{least}",)
    return ("--concurrency", str(most))


def _tracked(worker: Worker) -> dict[str, Any] | None:
    """Where what it publishes is seen."""
    if not worker.app.is_tracked:
        return None
    place = place_of(worker.app, worker.broker)
    return {
        "platform": place.queue,
        "exchange": place.exchange,
        "queues": [queue.name for queue in worker.queues],
    }


def _config(worker: Worker) -> dict[str, Any]:
    config = {**BASE_CONFIG, **worker.extra_config}
    if worker.app.result_backend:
        config["result_backend"] = worker.app.result_backend
    return config


def direct_entry(worker: Worker) -> dict[str, Any]:
    """The declaration of the worker's own queue, as a worker gets it."""
    # Just as Celery declares a queue that it only knows by name: a producer
    # that sends to it by name declares it too, and RabbitMQ lets nobody in
    # whose declaration differs.
    name = direct_queue(worker.name)
    return {
        "name": name,
        "exchange": name,
        "exchange_type": "direct",
        "routing_key": name,
        "options": {},
        "digest": "",
    }


def _sha256(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
