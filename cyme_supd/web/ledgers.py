"""The shapes of who may ask, what was changed, and all at a glance.

They are for those who read the contract, as those of :mod:`cyme_supd.web.answers` are.
"""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict

from cyme_supd.domain.status import ProcessState
from cyme_supd.web.answers import Condition, DeclaredQueue, Pause
from cyme_supd.web.findings import RunningTask

Role = Literal["viewer", "operator", "admin"]


class User(TypedDict):
    name: str
    role: Role
    created_at: str


class Token(TypedDict):
    """Without the secret; one with an ``app`` is good for that one's routes alone."""

    id: str
    label: str
    user: str | None
    role: Role
    app: str | None
    created_at: str
    expires_at: str | None
    last_used_at: str | None


class NewToken(Token):
    """``token`` is what its owner sends: it is shown this once."""

    token: str


class Event(TypedDict):
    """``before`` and ``after`` have what is not the same in both, without secrets."""

    at: str
    actor: str
    address: str
    agent: str
    branch: str
    verb: Literal["create", "edit", "delete", "purge", "act", "login", "refuse", "logout"]
    kind: Literal["app", "queue", "instance", "branch", "user", "token", "job", "run", "task"]
    app: str
    name: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class Events(TypedDict):
    events: list[Event]
    limit: int


class Audit(TypedDict):
    data: Events


class SeenApp(TypedDict):
    """``broker`` is the URL of the one that its workers use unless they name another."""

    name: str
    broker: str
    pause: Pause | None


class SeenQueue(TypedDict):
    """``depth`` and ``oldest_s`` are null where nobody knows."""

    app: str
    name: str
    depth: float | None
    oldest_s: float | None
    pause: Pause | None


class QueueOfApp(DeclaredQueue):
    app: str


class QueuesOfAll(TypedDict):
    queues: list[QueueOfApp]


class Queues(TypedDict):
    data: QueuesOfAll


class SeenInstance(TypedDict):
    """``condition`` is the one that tells of its ``level``, where one does."""

    name: str
    app: str
    branch: str
    is_enabled: bool
    queues: list[str]
    max_concurrency: int
    min_concurrency: int
    state: ProcessState | None
    ready: bool | None
    consuming: bool | None
    level: Literal["ill", "unknown", "changing", "held", "well", "off"]
    condition: Condition | None


class AtAGlance(TypedDict):
    apps: list[SeenApp]
    queues: list[SeenQueue]
    instances: list[SeenInstance]


class Overview(TypedDict):
    data: AtAGlance


class Series(TypedDict):
    """Each as long as ``at``, which is in epoch seconds; null where nobody knows."""

    at: list[float]
    depth: list[float | None]
    oldest_s: list[float | None]
    per_s: list[float | None]
    running: list[float | None]
    processes: list[float | None]
    most: list[float | None]


class Samples(TypedDict):
    data: Series


class StateChange(TypedDict):
    at: str
    state: ProcessState | None
    ready: bool | None
    consuming: bool | None
    reason: str


class StateChanges(TypedDict):
    changes: list[StateChange]


class InstanceHistory(TypedDict):
    data: StateChanges


class TasksNow(TypedDict):
    tasks: list[RunningTask]


class InstanceTasks(TypedDict):
    data: TasksNow
