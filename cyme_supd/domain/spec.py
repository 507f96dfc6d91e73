"""Desired state: what somebody asked for, as it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cyme_supd.domain.moving import Move
from cyme_supd.domain.naming import direct_queue, nodename
from cyme_supd.domain.pause import Pause
from cyme_supd.domain.rollout import Rollout

POOLS = ("prefork", "gevent", "eventlet", "threads", "solo")
DEFAULT_POOL = "prefork"
DEFAULT_STOP_TIMEOUT_S = 600
DEFAULT_HUNG_TIMEOUT_S = 30

#: Pools whose workers have an autoscaler. A threads worker started with
#: --autoscale exits at its first growth; a solo worker cannot grow.
AUTOSCALED_POOLS = frozenset({"prefork", "gevent", "eventlet"})


@dataclass(frozen=True, slots=True)
class Queue:
    """A declaration: what a name means at the broker."""

    app: str
    name: str
    exchange: str
    exchange_type: str
    routing_key: str
    options: Mapping[str, Any]
    created_at: datetime
    pause: Pause | None = None


@dataclass(frozen=True, slots=True)
class App:
    """What the instances of one application have in common.

    ``None`` and empty mean the default. ``broker`` is a URL, ``arguments``
    are words for ``celery worker``, ``extra_config`` Celery settings in
    lower case, ``command`` the ``celery`` of the app's own virtual
    environment. One that is being deleted goes with its last instance.
    What one that ``is_tracked`` publishes is recorded.
    """

    name: str
    created_at: datetime
    broker: str | None = None
    arguments: tuple[str, ...] = ()
    extra_config: Mapping[str, Any] = field(default_factory=dict)
    celery_app: str | None = None
    directory: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    command: str | None = None
    result_backend: str | None = None
    pool: str | None = None
    stop_timeout_s: int | None = None
    hung_timeout_s: int | None = None
    is_deleting: bool = False
    pause: Pause | None = None
    rollout: Rollout | None = None
    is_tracked: bool = False


@dataclass(frozen=True, slots=True)
class Instance:
    """One worker that should be.

    ``generation`` grows with every edit that the reconciler must see;
    ``restarts`` with every restart that was asked for, so that a restart is
    a wish like any other and survives whoever asked. One with a ``move`` does
    not run here any more: it is on its way to another branch.
    """

    name: str
    app: str
    branch: str
    created_at: datetime
    is_enabled: bool = True
    is_deleting: bool = False
    is_forced: bool = False
    broker: str | None = None
    max_concurrency: int = 1
    min_concurrency: int = 1
    pool: str | None = None
    arguments: tuple[str, ...] = ()
    extra_config: Mapping[str, Any] = field(default_factory=dict)
    stop_timeout_s: int | None = None
    hung_timeout_s: int | None = None
    queues: tuple[str, ...] = ()
    generation: int = 1
    restarts: int = 0
    pause: Pause | None = None
    move: Move | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """An instance with everything it inherits, as the reconciler wants it.

    ``broker`` is the URL it ends up with, the branch's default included.
    ``paused`` are the queues it should leave alone for now, each with the
    pause that holds it.
    """

    instance: Instance
    app: App
    queues: tuple[Queue, ...]
    broker: str
    paused: Mapping[str, Pause] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.instance.name

    @property
    def nodename(self) -> str:
        return nodename(self.instance.name, self.instance.branch)

    @property
    def pool(self) -> str:
        return self.instance.pool or self.app.pool or DEFAULT_POOL

    @property
    def is_autoscaled(self) -> bool:
        return self.pool in AUTOSCALED_POOLS

    @property
    def autoscale(self) -> tuple[int, int]:
        """(max, min)"""
        return self.instance.max_concurrency, self.instance.min_concurrency

    @property
    def stop_timeout_s(self) -> int:
        for wanted in (self.instance.stop_timeout_s, self.app.stop_timeout_s):
            if wanted is not None:
                return wanted
        return DEFAULT_STOP_TIMEOUT_S

    @property
    def hung_timeout_s(self) -> int:
        for wanted in (self.instance.hung_timeout_s, self.app.hung_timeout_s):
            if wanted is not None:
                return wanted
        return DEFAULT_HUNG_TIMEOUT_S

    @property
    def arguments(self) -> tuple[str, ...]:
        """The app's first, so that the instance's win."""
        return (*self.app.arguments, *self.instance.arguments)

    @property
    def extra_config(self) -> dict[str, Any]:
        return {**self.app.extra_config, **self.instance.extra_config}

    @property
    def consumes(self) -> frozenset[str]:
        """Names of all queues it should consume from now, its own among them."""
        wanted = {direct_queue(self.name), *(queue.name for queue in self.queues)}
        return frozenset(wanted - self.paused.keys())
