"""The shapes of what goes out: what :mod:`cyme_supd.web.wire` makes of what is asked for.

They are for those who read the contract, and a test holds them against real
answers; nothing is validated against them on its way out.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from pydantic import ConfigDict
from typing_extensions import TypedDict

from cyme_supd.domain.status import ProcessState


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
    is_tracked: bool
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
    """``depth`` and ``consumers`` are null where the broker does not tell, ``oldest_s``
    where nobody knows."""

    pause: Pause | None
    depth: int | None
    consumers: int | None
    oldest_s: float | None


class ConsumedQueue(Declaration):
    """``observed_at`` is there where nobody knows what it is now."""

    observed_at: NotRequired[str]


class Purged(TypedDict):
    purged: int


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
