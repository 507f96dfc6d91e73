"""The shapes of what goes out, by operation and status: what :mod:`cyme_supd.web.wire` makes.

They are for those who read the contract, and a test holds them against real
answers; nothing is validated against them on its way out.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from pydantic import ConfigDict
from typing_extensions import TypedDict

from cyme_supd.domain.status import ProcessState
from cyme_supd.domain.task import TaskState


class Ok(TypedDict):
    ok: Literal["ok"]


class Pong(TypedDict):
    ok: Literal["pong"]


class Accepted(TypedDict):
    """Stored, and not observed yet; ``reason`` says what keeps it, where something does."""

    name: str
    converged: NotRequired[Literal[False]]
    reason: NotRequired[str]


class Broker(TypedDict):
    hostname: str
    port: int
    userid: str
    password: str
    virtual_host: str
    transport: str
    url: str


class Pause(TypedDict):
    """``until`` is null where it lasts until somebody resumes."""

    reason: str
    since: str
    until: str | None


class Application(TypedDict):
    name: str
    broker: Broker
    arguments: list[str]
    extra_config: dict[str, Any]
    celery_app: str | None
    directory: str | None
    environment: dict[str, str]
    user: str | None
    command: str | None
    result_backend: str | None
    pool: str | None
    stop_timeout_s: int | None
    hung_timeout_s: int | None
    created_at: str
    pause: Pause | None
    instances: list[str]


class ApplicationEdited(Application):
    """``restarting`` names the instances whose workers are replaced for the edit."""

    restarting: list[str]


class Condition(TypedDict):
    type: str
    status: bool
    reason: str
    message: str
    since: str | None


class Instance(TypedDict):
    """What it should be and what was seen of it; null is: not known."""

    name: str
    app: str
    branch: str
    is_enabled: bool
    queues: list[str]
    broker: Broker
    max_concurrency: int
    min_concurrency: int
    pool: str
    arguments: list[str]
    extra_config: dict[str, Any]
    stop_timeout_s: int
    hung_timeout_s: int
    created_at: str
    generation: int
    pause: Pause | None
    state: ProcessState | None
    pid: int | None
    ready: bool | None
    consuming: bool | None
    conditions: list[Condition]
    observed_at: str | None


class InstanceEdited(Instance):
    """``restarting`` names it where its worker is replaced for the edit."""

    restarting: list[str]


class InstanceAwaited(Instance):
    """Stored, and not observed; ``reason`` says why."""

    restarting: NotRequired[list[str]]
    converged: Literal[False]
    reason: str


class Process(TypedDict):
    name: str
    group: str
    statename: ProcessState | None
    pid: int | None


class WorkerStats(TypedDict):
    """What the worker answers to Celery's ``stats``, and these."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    supervisor: Process
    instance: Instance


class Autoscale(TypedDict):
    max: int
    min: int


class AutoscaleAwaited(Autoscale):
    converged: Literal[False]
    reason: str


class Declaration(TypedDict):
    name: str
    exchange: str
    exchange_type: str
    routing_key: str
    options: dict[str, Any]
    created_at: str


class DeclarationEdited(Declaration):
    """``restarting`` names the instances whose workers are replaced for the edit."""

    restarting: list[str]


class DeclaredQueue(Declaration):
    """``depth`` and ``consumers`` are null where the broker does not tell."""

    pause: Pause | None
    depth: int | None
    consumers: int | None


class ConsumedQueue(Declaration):
    """``observed_at`` is there where nobody knows what it is now."""

    observed_at: NotRequired[str]


class Purged(TypedDict):
    purged: int


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


class OrphanedQueue(TypedDict):
    name: str
    depth: int
    reason: str


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


class Error(TypedDict):
    code: str
    message: str
    hint: str


class Refused(TypedDict):
    error: Error


class BatchedUrl(TypedDict):
    url: str
    method: NotRequired[str]
    params: NotRequired[dict[str, Any]]
    data: NotRequired[Any]
    headers: NotRequired[dict[str, str]]
