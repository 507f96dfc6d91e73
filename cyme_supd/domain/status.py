"""Observed state: what was seen of a worker, a broker, a branch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class ProcessState(StrEnum):
    """supervisord's own words for what a process is doing."""

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    BACKOFF = "BACKOFF"
    STOPPING = "STOPPING"
    EXITED = "EXITED"
    FATAL = "FATAL"
    UNKNOWN = "UNKNOWN"

    @property
    def has_process(self) -> bool:
        return self in (ProcessState.STARTING, ProcessState.RUNNING, ProcessState.STOPPING)

    @property
    def is_up(self) -> bool:
        return self in (ProcessState.STARTING, ProcessState.RUNNING)

    @property
    def is_down(self) -> bool:
        """Ended, and supervisord will not start it again by itself."""
        return self in (ProcessState.STOPPED, ProcessState.EXITED, ProcessState.FATAL)


@dataclass(frozen=True, slots=True)
class Process:
    """supervisord's last word on one program; times are epoch seconds."""

    name: str
    state: ProcessState
    pid: int | None = None
    started_at: float | None = None
    stopped_at: float | None = None
    exit_status: int | None = None
    spawn_error: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """What the launcher wrote before it became the worker."""

    pid: int
    identity: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A worker's latest answers over remote control.

    ``at`` is monotonic: when it arrived. ``pid`` is the worker's own word for
    who it is; ``autoscale`` is (max, min), ``None`` where it has no
    autoscaler; ``queues`` what it consumes from, with the digest of each
    declaration, empty where it has it from elsewhere; ``refused`` the queues
    that its broker would not let it have, each with digest and reason.

    ``started`` counts the tasks it has begun since its start, ``active`` those
    that run, ``waiting`` those it has taken besides; ``None`` where it does not
    tell. ``processes`` is what its pool has, ``prefetch`` how many it takes at
    once (``None``: any number, or not told); ``is_narrow`` that a reconnect has
    left it with too few. ``rival`` is another process that answers by the same name.
    """

    at: float
    pid: int
    autoscale: tuple[int, int] | None
    queues: Mapping[str, str]
    refused: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    started: int | None = None
    active: int | None = None
    waiting: int | None = None
    processes: int | None = None
    prefetch: int | None = None
    is_narrow: bool = False
    rival: int | None = None


@dataclass(frozen=True, slots=True)
class Pulse:
    """Whether a message of our own came back through the broker in time.

    ``is_well`` is ``None`` before the first verdict; ``since`` is monotonic.
    """

    is_well: bool | None
    since: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Depth:
    """What a broker says of one of its queues.

    ``messages`` wait; those that a worker has taken are not among them.
    ``consumers`` is ``None`` where the broker does not tell.
    """

    messages: int
    consumers: int | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in a queue, as it was at ``at``; times are monotonic.

    Since ``since`` it has not been empty, nor has it sunk, at ``looks`` looks;
    ``None`` where it is empty. What waits longest is there since ``oldest_at``,
    or longer; by ``signs`` of that, each with when it was seen first.
    """

    messages: int
    at: float
    since: float | None = None
    looks: int = 0
    oldest_at: float | None = None
    signs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ailment:
    """What is wrong with a process that runs, in a word and in words.

    It is asked to end for it, and killed when it has not after
    ``kill_after_s``; ``None`` leaves it its stop timeout.
    """

    reason: str
    message: str
    kill_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Care:
    """What a worker needs, beyond what its spec wants; from all that is known of it.

    ``ailment`` is what it has, ``is_due`` that its process may be ended for
    that now, ``is_overdue`` that it was, and has not ended. ``looping_since``
    is when it began to end too often; ``is_held`` that it is to stay stopped
    for a while, until ``retry_at``. ``stuck`` is a queue that it leaves full.
    ``was_stopped_by_hand`` is said for a while. ``yields_to`` is a branch
    that has an older instance of the same name: it runs in place of this one.
    """

    ailment: Ailment | None = None
    is_due: bool = False
    is_overdue: bool = False
    looping_since: datetime | None = None
    is_held: bool = False
    retry_at: datetime | None = None
    stuck: str | None = None
    was_stopped_by_hand: bool = False
    yields_to: str | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """All that is known about one worker at one moment.

    ``now`` and ``commanded_at`` are monotonic: the moment, and when it was
    last told something over remote control. ``is_asked_to_end`` says that the
    branch itself had supervisord stop it, and has not started it since.
    ``process`` is ``None`` where supervisord has no such program,
    ``stop_timeout_s`` the stop timeout it knows it with, ``None`` where that
    is not known; ``written`` is the digest of the launch file on disk.
    """

    process: Process | None
    stop_timeout_s: int | None
    running: Running | None
    written: str | None
    answer: Answer | None
    pulse: Pulse
    now: float
    commanded_at: float | None = None
    is_asked_to_end: bool = False
    care: Care = Care()

    @property
    def is_answering(self) -> bool:
        """Whether the newest answer is from the process that runs now."""
        return (
            self.answer is not None
            and self.process is not None
            and self.process.state.is_up
            and self.answer.pid == self.process.pid
        )


@dataclass(frozen=True, slots=True)
class Condition:
    """One fact about a worker with its reason; ``status`` None is "not known"."""

    type: str
    status: bool | None
    reason: str
    message: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Status:
    """The stored observation of one instance.

    Every field was seen for a spec of ``generation`` or a later one.
    ``ready`` and ``consuming`` are ``None`` where nobody knows. ``queues`` are
    the names it consumes from, its own left out; of a silent worker those it
    last told of, ``None`` if it never did.
    """

    name: str
    generation: int
    state: ProcessState | None = None
    pid: int | None = None
    ready: bool | None = None
    consuming: bool | None = None
    autoscale: tuple[int, int] | None = None
    queues: tuple[str, ...] | None = None
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch as its last pass left it.

    ``observed_at`` says when that was. ``health`` has ``supervisord``
    (``ok``, ``has_extension``, ``reason``, ``room``: how many workers it can
    run), ``brokers`` (by
    :attr:`Broker.key`: ``ok``, ``reason``, ``url`` masked) and ``threads``
    (by name: seconds since they last moved).
    """

    id: str
    url: str
    port: int
    version: str
    sup_interval: float
    numc: int
    loglevel: str
    logfile: str | None
    started_at: datetime
    observed_at: datetime | None = None
    health: Mapping[str, Any] = field(default_factory=dict)
