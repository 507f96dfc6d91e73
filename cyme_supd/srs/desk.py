"""What is done about a message, and what is told of the branch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from email.utils import format_datetime
from typing import Any

from cyme_supd.clock import Clock
from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.spec import Worker
from cyme_supd.errors import CymeError, NotFound
from cyme_supd.service import Service
from cyme_supd.srs.messages import Creation, State, Update

log = logging.getLogger(__name__)

#: The application that instances made by a message are of.
APP = "srs"
#: How long workers have to say how they are.
STATS_TIMEOUT_S = 2.0


class Desk:
    """The SRS interface without its exchanges.

    Nothing here waits for a worker to do something: what is asked for is
    stored. ``measure()`` is the host's load and disk use, as
    :func:`cyme_supd.branch.host.measure` has them.
    """

    def __init__(
        self, service: Service, clock: Clock, measure: Callable[[], Mapping[str, Any]]
    ) -> None:
        self._service = service
        self._clock = clock
        self._measure = measure

    @property
    def branch(self) -> str:
        return self._service.here.id

    def create(self, wanted: Creation) -> None:
        """Have an instance of that name here, with that broker, and enabled.

        The broker is the instance's own, so that two messages may name two.
        One that is there already is edited; and enabled, for no other message
        brings back what ``stopping`` has stopped.
        """
        self._make_app()
        given = {"branch": self.branch, **({"broker": wanted.broker} if wanted.broker else {})}
        instances = self._service.instances
        is_new = instances.put(APP, wanted.name, given, None).is_new
        instances.enable(APP, wanted.name, None)
        log.info("%s: srs: %s %s", self.branch, wanted.name, "created" if is_new else "edited")

    def update(self, wanted: Update) -> None:
        """Disable or delete it, whatever application it is of; nothing where it is not here."""
        try:
            app = self._service.roster.find(wanted.name).app
        except NotFound:
            # Every branch hears of every instance.
            log.debug("%s: srs: %s is not here", self.branch, wanted.name)
            return
        if wanted.state is State.STOPPING:
            self._service.instances.disable(app, wanted.name, None)
        else:
            self._service.instances.delete(app, wanted.name, is_forced=False, timeout_s=None)
        log.info("%s: srs: %s %s", self.branch, wanted.name, wanted.state)

    def instances(self) -> list[dict[str, Any]]:
        """All of this branch, in short."""
        return [_shown(worker) for worker in self._service.roster.workers()]

    def statistics(self) -> dict[str, Any]:
        """The branch under ``agents``; under ``instances`` Celery's stats of those that answer."""
        workers = self._service.roster.workers()
        enabled = sum(worker.instance.is_enabled for worker in workers)
        host, now = self._measure(), format_datetime(self._clock.now())
        own = {
            "loadavg": [now, *host["load_average"]],
            "instances": [now, len(workers), enabled],
            "drive_used": [now, host["disk_use"]],
        }
        return {
            "agents": {self.branch: own},
            "instances": self._service.roster.stats(STATS_TIMEOUT_S),
        }

    def _make_app(self) -> None:
        try:
            self._service.apps.get(APP)
        except NotFound:
            self._service.apps.put(APP, {})


def _shown(worker: Worker) -> dict[str, Any]:
    instance = worker.instance
    return {
        "name": instance.name,
        "app": instance.app,
        "branch": instance.branch,
        "is_enabled": instance.is_enabled,
        "queues": list(instance.queues),
        "broker": parse_broker(worker.broker).as_dict(),
        "max_concurrency": instance.max_concurrency,
        "min_concurrency": instance.min_concurrency,
    }


def is_passing(exc: CymeError) -> bool:
    """Whether the same may be well a moment later, and no fault of the message."""
    return exc.code == "unavailable"
