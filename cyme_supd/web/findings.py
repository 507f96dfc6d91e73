"""The shapes of what was found out: plans, orphans, results, and how branches are.

They are for those who read the contract, as those of :mod:`cyme_supd.web.answers` are.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from pydantic import ConfigDict
from typing_extensions import TypedDict

from cyme_supd.domain.task import TaskState
from cyme_supd.web.answers import Broker


class Rollout(TypedDict):
    """``number`` is 0 where there was none."""

    number: int
    max_unavailable: int | None
    created_at: str | None
    state: Literal["running", "stopped", "aborted", "done"] | None
    restarted: list[str]
    left: list[str]
    stopped_at: str | None
    reason: str | None


class RolloutEdited(Rollout):
    name: str


class PlannedStep(TypedDict):
    instance: str
    action: str
    reason: str
    queues: NotRequired[list[str]]
    max: NotRequired[int]
    min: NotRequired[int]


class RunningTask(TypedDict):
    instance: str
    id: str
    name: str
    started_at: str | None


class RunningTasks(TypedDict):
    count: int
    running: list[RunningTask]


class Untold(TypedDict):
    """An instance, or a branch, that did not tell what it runs."""

    instance: NotRequired[str]
    branch: NotRequired[str]
    reason: str


class Plan(TypedDict):
    """``purged`` is there where messages would be dropped."""

    actions: list[PlannedStep]
    restarting: list[str]
    stopping: list[str]
    turns: list[list[str]]
    tasks: RunningTasks
    unknown: list[Untold]
    waits_for: str | None
    observed_at: str | None
    purged: NotRequired[int]


class Seen(TypedDict):
    """In epoch seconds, null for never; ``refused`` counts messages by the reason."""

    watched_at: float | None
    message_at: float | None
    event_at: float | None
    refused: dict[str, int]


class Tracking(TypedDict):
    is_tracked: bool
    broker: Broker
    exchange: str
    platform_queue: str
    source: str
    install: str
    imports: str
    line: str
    seen: Seen | None


class OrphanedQueue(TypedDict):
    """One that ``is_paused`` is to be as it is."""

    name: str
    depth: int
    reason: str
    is_paused: bool


class OrphanedConsumer(TypedDict):
    instance: str
    queue: str


class OrphanedTask(TypedDict):
    """``queue`` is null where it is only named in settings."""

    name: str
    queue: str | None
    count: int


class OrphanedProcess(TypedDict):
    pid: int
    instance: str
    command: str
    since: str
    has_worker: bool


class NotAsked(TypedDict):
    what: str
    reason: str


class Orphans(TypedDict):
    queues: list[OrphanedQueue]
    consumers: list[OrphanedConsumer]
    tasks: list[OrphanedTask]
    processes: list[OrphanedProcess]
    unknown: list[NotAsked]


class QueuedUrl(TypedDict):
    uuid: str
    url: str
    queue: str
    method: str
    params: dict[str, str | list[str]]


class QueuedUrls(TypedDict):
    uuids: list[str]


class State(TypedDict):
    state: TaskState


class UrlResult(TypedDict):
    """What came back; ``encoding`` says how ``body`` holds it."""

    status_code: int
    headers: dict[str, Any]
    body: str
    encoding: str
    truncated: bool
    elapsed_s: float
    url: str


class Result(TypedDict):
    """``error`` is there where nobody answered."""

    state: TaskState
    result: UrlResult | None
    error: NotRequired[str]


class Moving(TypedDict):
    left: int
    now: str | None
    to: str | None
    failed: dict[str, str]
    reason: str | None


class Branch(TypedDict):
    id: str
    url: str
    port: int
    sup_interval: float
    numc: int
    loglevel: str
    logfile: str | None
    version: str
    is_live: bool
    is_draining: bool
    moving: Moving | None
    last_seen: str | None
    instances: int
    load_average: list[float] | None
    disk_use: float | None
    memory: dict[str, Any] | None


class Part(TypedDict):
    """``ok`` is null where it is not known yet."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    ok: bool | None


class Brokers(TypedDict):
    all: list[dict[str, Any]]


class Health(TypedDict):
    """Only ``ok`` for who may not know more, or where the store cannot be read."""

    ok: bool
    store: NotRequired[Part]
    reconciler: NotRequired[Part]
    lease: NotRequired[Part]
    supervisord: NotRequired[Part]
    threads: NotRequired[Part]
    broker: NotRequired[Part]
    brokers: NotRequired[Brokers]
