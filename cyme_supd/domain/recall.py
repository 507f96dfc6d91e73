"""What is stored of a worker, taken for an observation. Pure.

Whoever does not listen to supervisord and the brokers plans by this. Where
nobody knows, the worker is taken to be as it was told to be before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cyme_supd.domain.doubles import told
from cyme_supd.domain.healing import NARROW
from cyme_supd.domain.health import QUARANTINED
from cyme_supd.domain.launch import Launch
from cyme_supd.domain.naming import direct_queue
from cyme_supd.domain.pause import PAUSED
from cyme_supd.domain.plan import is_behind, is_outdated
from cyme_supd.domain.restarts import AILMENTS, CRASH_LOOPING, TOO_OFTEN
from cyme_supd.domain.rollout import Member
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import (
    Ailment,
    Answer,
    Care,
    Condition,
    Observation,
    Process,
    Pulse,
    Running,
    Status,
)

_ENDED_FOR = AILMENTS | {NARROW}
#: Pauses that hold a worker's own queue, too.
_HOLDS_ALL = frozenset({"AppPaused", "InstancePaused"})


@dataclass(frozen=True, slots=True)
class Files:
    """What the launch files say: ``written`` is the digest, ``queues`` the
    digests of the declarations in it, ``running`` who runs with what."""

    written: str | None = None
    queues: Mapping[str, str] = field(default_factory=dict)
    running: Running | None = None


def recalled(worker: Worker, before: Worker, status: Status | None, files: Files) -> Observation:
    """How *worker* is, as far as is stored; it was *before* what is planned."""
    process = _process(status)
    return Observation(
        process=process,
        stop_timeout_s=before.stop_timeout_s if process else None,
        running=files.running,
        written=files.written,
        answer=_answer(before, status, files),
        pulse=Pulse(True, 0.0),
        now=0.0,
        care=_care(worker, status, process),
    )


def member(worker: Worker, wanted: Launch, seen: Observation, status: Status | None) -> Member:
    """*worker* among those of a rolling restart; all brokers are taken to be well."""
    process = seen.process
    is_old = process is not None and is_outdated(wanted, process, seen.running)
    return Member(
        worker.name,
        is_behind=process is not None and is_behind(wanted, process, seen.running),
        is_available=not is_old and status is not None and _works(status),
    )


def _process(status: Status | None) -> Process | None:
    if status is None or status.state is None:
        return None
    return Process(status.name, status.state, status.pid)


def _answer(before: Worker, status: Status | None, files: Files) -> Answer | None:
    """Of one that is silent what it last told; ``None`` of one that never did."""
    if status is None or status.pid is None or status.ready is False or status.queues is None:
        return None
    queues = {name: files.queues.get(name, "") for name in status.queues}
    if not _holds_all(status):
        queues[direct_queue(status.name)] = ""
    limits = before.autoscale if before.is_autoscaled else None
    return Answer(0.0, status.pid, status.autoscale or limits, queues)


def _care(worker: Worker, status: Status | None, process: Process | None) -> Care:
    """What a branch remembers of a worker, by the conditions it has stored."""
    if status is None or process is None:
        return Care()
    if (branch := told(status.conditions)) is not None:
        return Care(yields_to=branch)
    is_now = status.generation == worker.instance.generation
    ready = _condition(status, "Ready")
    if ready is not None and ready.reason in _ENDED_FOR and process.state.is_up:
        return Care(ailment=Ailment(ready.reason, ready.message), is_due=True)
    looping = _condition(status, CRASH_LOOPING)
    is_looping = looping is not None and looping.reason == TOO_OFTEN
    # Another spec has it tried again at once.
    return Care(is_held=is_looping and is_now and not process.state.is_up)


def _works(status: Status) -> bool:
    held_back = any(_condition(status, type) for type in (QUARANTINED, PAUSED))
    return status.ready is True and (status.consuming is True or held_back)


def _holds_all(status: Status) -> bool:
    paused = _condition(status, PAUSED)
    return paused is not None and paused.status is True and paused.reason in _HOLDS_ALL


def _condition(status: Status, type: str) -> Condition | None:
    return next((each for each in status.conditions if each.type == type), None)
