"""Jobs, the categories that hold them, and their runs. Pure."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache

DEFAULT_QUEUE = "cronq_jobs"
#: Missed fire times that ``catch_up: all`` makes up for, the latest of them.
MAX_CATCH_UP = 100
#: What the reason of a run begins with that was skipped because the job runs already.
OVERLAP_REASON = "another run"
_FIRST_RETRY_S, _LAST_RETRY_S = 10, 600

_JOBS = uuid.UUID("0d8e1b57-7d0a-5b4f-9c35-5b1a9a7e3f10")


class Overlap(StrEnum):
    """What becomes of a fire time while a run of the same job is under way."""

    ALLOW = "allow"
    SKIP = "skip"
    QUEUE = "queue"


class CatchUp(StrEnum):
    """Which of the fire times are run that nobody was there for."""

    NONE = "none"
    ONE = "one"
    ALL = "all"


class RunStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    LOST = "lost"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be run and when, and when it is due next.

    One of ``command``, for a shell, and ``argv``, without one, is there.
    ``next_fire_at`` is the fire time by the schedule, ``due_at`` when that is to be
    dispatched: ``None`` where none comes, or somebody holds the job.
    """

    category: str
    name: str
    schedule: str
    created_at: datetime
    command: str | None = None
    argv: tuple[str, ...] | None = None
    routing_key: str = DEFAULT_QUEUE
    app: str | None = None
    timezone: str | None = None
    timeout_s: int | None = None
    overlap: str = Overlap.ALLOW
    catch_up: str = CatchUp.ONE
    deadline_s: int | None = None
    retries: int = 0
    jitter_s: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    is_paused: bool = False
    next_fire_at: datetime | None = None
    due_at: datetime | None = None

    @property
    def id(self) -> str:
        return job_id(self.category, self.name)


@dataclass(frozen=True, slots=True)
class Category:
    name: str
    job_count: int = 0

    @property
    def id(self) -> str:
        return category_id(self.name)


@dataclass(frozen=True, slots=True)
class Run:
    """One fire time of a job, and what became of it; it outlives the job."""

    id: str
    job_id: str
    category: str
    name: str
    fire_at: datetime
    status: str
    queued_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempt: int = 1
    exit_code: int | None = None
    signal: int | None = None
    host: str | None = None
    branch: str | None = None
    instance: str | None = None
    reason: str | None = None
    app: str | None = None
    wants_cancel: bool = False
    #: When its order is to be put into the job's queue, again where it was: by whoever
    #: comes first. ``None`` of a queued one: it waits for another run of its job to end.
    order_at: datetime | None = None
    orders: int = 0
    #: Of the claim that it was granted to, the queue of that runner, and its last word.
    nonce: str | None = None
    reply: str | None = None
    heard_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunOutput:
    """The end of what a run printed, and how many bytes that is in all, as of ``at``."""

    run_id: str
    at: datetime
    size: int
    tail: bytes
    is_truncated: bool = False


@dataclass(frozen=True, slots=True)
class RunEvent:
    """Something that happened to a run: ``starting``, ``finished``, ``failed``, ..."""

    run_id: str
    at: datetime
    type: str
    message: str = ""


# The same on every branch, and for one that was removed and is there again: whoever
# reads the id of a job finds all its runs.


@lru_cache(4096)
def category_id(name: str) -> str:
    return str(uuid.uuid5(_JOBS, name))


@lru_cache(16384)
def job_id(category: str, name: str) -> str:
    # Names of categories have no slash.
    return str(uuid.uuid5(_JOBS, f"{category}/{name}"))


@lru_cache(8192)
def run_id(job: str, fire_at: datetime) -> str:
    """The id of the one run that a fire time has."""
    return str(uuid.uuid5(uuid.UUID(job), fire_at.isoformat()))


def due_at(job: Job, fire_at: datetime | None) -> datetime | None:
    """When *fire_at* is dispatched: up to ``jitter_s`` later, whoever works it out."""
    if fire_at is None or not job.jitter_s:
        return fire_at
    drawn = hashlib.sha256(f"{job.id} {fire_at.isoformat()}".encode()).digest()
    share = int.from_bytes(drawn[:6]) / 2**48
    return fire_at + timedelta(seconds=round(share * job.jitter_s, 3))


def retry_after_s(attempt: int) -> int:
    """How long after the failure of *attempt*, from 1, the next one is: each twice as long."""
    return int(min(_FIRST_RETRY_S * 2 ** min(attempt - 1, 20), _LAST_RETRY_S))
