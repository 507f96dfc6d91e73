"""From what was seen of a worker, what is said of it. Pure.

"Not known" is an answer of its own: a worker that is silent, or whose
broker is, is neither ready nor not ready.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cyme_supd.domain import plan
from cyme_supd.domain.conditions import Verdict, ailing, answering, conditions, consuming
from cyme_supd.domain.doubles import CONFLICT
from cyme_supd.domain.launch import Launch
from cyme_supd.domain.naming import direct_queue
from cyme_supd.domain.pause import PAUSED, words
from cyme_supd.domain.plan import is_answering, is_outdated
from cyme_supd.domain.restarts import CRASH_LOOPING
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import Condition, Observation, Process, ProcessState, Status

#: The reason of one whose name is that of a program which is not Cyme's.
NAME_TAKEN = "NameTaken"
HINDERED = "Hindered"
STARTING = "Starting"
#: The type of the condition that queues are held back.
QUARANTINED = "Quarantined"
#: Intervals without an answer after which a worker counts as silent.
SILENT_INTERVALS = 3


@dataclass(frozen=True, slots=True)
class Patience:
    """``interval_s`` lies between two looks at a worker; ``reconnect_s`` is
    what it is given to reconnect, counted from the return of its broker."""

    interval_s: float
    reconnect_s: float


def status_of(
    worker: Worker,
    wanted: Launch,
    seen: Observation,
    before: Status | None,
    patience: Patience,
    at: datetime,
) -> Status:
    """What to store of *worker*; *before* is what is stored, *at* the wall clock."""
    process = seen.process
    ready = _recalled(readiness(worker, wanted, seen, patience), process, before)
    is_known = ready.status is True and seen.answer is not None
    verdicts = [
        ready,
        *conditions(worker, seen, ready),
        *quarantine(worker, seen),
        *paused(worker, ready, seen),
    ]
    return Status(
        name=worker.name,
        generation=worker.instance.generation,
        state=process.state if process else None,
        pid=process.pid if process else None,
        ready=ready.status,
        consuming=consuming(worker, seen) if is_known else ready.status,
        autoscale=seen.answer.autoscale if is_known and seen.answer else None,
        queues=_consumed(worker, ready, seen, before),
        conditions=tuple(_dated(verdicts, before.conditions if before else (), at)),
    )


def quarantine(worker: Worker, seen: Observation) -> list[Verdict]:
    """The condition Quarantined, while there are queues its broker refuses it."""
    held_back = plan.refused(worker, seen.answer) if seen.answer else {}
    if not held_back:
        return []
    message = "; ".join(f"{name}: {reason}" for name, reason in sorted(held_back.items()))
    return [Verdict(QUARANTINED, True, "QueueRefused", message)]


def paused(worker: Worker, ready: Verdict, seen: Observation) -> list[Verdict]:
    """The condition Paused, while something holds it; true once it has let go."""
    if not worker.paused:
        return []
    reason, message = words(worker)
    return [Verdict(PAUSED, _has_let_go(worker, ready, seen), reason, message)]


def _has_let_go(worker: Worker, ready: Verdict, seen: Observation) -> bool | None:
    if seen.process is None or not seen.process.state.has_process:
        return True
    if ready.status is not True or seen.answer is None:
        return None
    return not worker.paused.keys() & seen.answer.queues.keys()


def _consumed(
    worker: Worker, ready: Verdict, seen: Observation, before: Status | None
) -> tuple[str, ...] | None:
    """What it consumes from; of one that is silent what it last said."""
    if ready.status is None:
        return before.queues if before else None
    if ready.status is False or seen.answer is None:
        return ()
    return tuple(sorted(seen.answer.queues.keys() - {direct_queue(worker.name)}))


def refused(
    worker: Worker, reason: str, message: str, before: Status | None, at: datetime
) -> Status:
    """What to store of *worker* when the host does not let it be."""
    verdict = Verdict("Ready", False, reason, message)
    conditions = tuple(_dated([verdict], before.conditions if before else (), at))
    return Status(worker.name, worker.instance.generation, ready=False, conditions=conditions)


def hindered(worker: Worker, message: str, before: Status | None, at: datetime) -> Status | None:
    """What to store of *worker* when something keeps the branch from looking after it;
    ``None`` where more than that is known of it."""
    is_new = before is None or {each.reason for each in before.conditions} == {HINDERED}
    return refused(worker, HINDERED, message, before, at) if is_new else None


def is_silent(seen: Observation, patience: Patience) -> bool:
    """Whether the process that runs has answered before, and not for a while."""
    return (
        is_answering(seen)
        and seen.answer is not None
        and seen.now - seen.answer.at > SILENT_INTERVALS * patience.interval_s
    )


def may_be_reconnecting(seen: Observation, patience: Patience) -> bool:
    """Whether its broker is back for so short a time that silence says nothing.

    A worker waits longer and longer between its attempts to reconnect.
    """
    return seen.pulse.is_well is True and seen.now - seen.pulse.since < patience.reconnect_s


def readiness(worker: Worker, wanted: Launch, seen: Observation, patience: Patience) -> Verdict:
    """Whether the worker that should run does, and answers."""
    process = seen.process
    if (told := ailing(seen)) is not None:
        return told
    if process is None or not process.state.is_up:
        return _not_up(worker, seen)
    if is_outdated(wanted, process, seen.running):
        return Verdict("Ready", False, "Restarting", "it is replaced for a change")
    if is_answering(seen) and not is_silent(seen, patience):
        return answering(seen)
    if seen.pulse.is_well is False:
        return Verdict("Ready", None, "BrokerDown", "its broker does not answer")
    if is_answering(seen):
        return _silence(seen, patience)
    return Verdict("Ready", False, STARTING, "it has not answered yet")


def _recalled(ready: Verdict, process: Process | None, before: Status | None) -> Verdict:
    """A branch that has started anew has heard no answer; the process may have given some."""
    if ready.reason != STARTING or process is None or before is None:
        return ready
    if before.ready is False or before.pid != process.pid:
        return ready
    return Verdict("Ready", None, "Asked", "the branch has started anew, and asks it")


def _silence(seen: Observation, patience: Patience) -> Verdict:
    if seen.pulse.is_well is None:
        return Verdict("Ready", None, "Silent", "its broker is being asked")
    if may_be_reconnecting(seen, patience):
        message = f"its broker is back; it may need {patience.reconnect_s:g} s to reconnect"
        return Verdict("Ready", None, "Reconnecting", message)
    return Verdict("Ready", None, "Silent", "it has stopped answering")


def _not_up(worker: Worker, seen: Observation) -> Verdict:
    state = seen.process.state if seen.process else None
    if state is ProcessState.STOPPING:
        return Verdict("Ready", False, "Stopping", "it finishes what it has begun")
    if state is ProcessState.BACKOFF:
        return Verdict("Ready", False, "Backoff", "it ended soon after its start")
    if worker.instance.is_deleting:
        return Verdict("Ready", False, "Deleting")
    if worker.instance.move is not None:
        return Verdict("Ready", False, "Moving", f"to branch {worker.instance.move.to!r}")
    if not worker.instance.is_enabled:
        return Verdict("Ready", False, "Disabled")
    if seen.care.yields_to is not None:
        return Verdict("Ready", False, CONFLICT, f"it runs on branch {seen.care.yields_to!r}")
    if seen.care.is_held:
        return Verdict("Ready", False, CRASH_LOOPING, "it is tried again later")
    if state is ProcessState.UNKNOWN:
        return Verdict("Ready", None, "Unknown", "supervisord does not know its state")
    return Verdict("Ready", False, "Stopped", "it should run and does not")


def _dated(
    verdicts: Iterable[Verdict], before: tuple[Condition, ...], at: datetime
) -> Iterable[Condition]:
    """The verdicts as conditions; one that says the same as before keeps its time."""
    known = {condition.type: condition for condition in before}
    for new in verdicts:
        old = known.get(new.type)
        is_same = old is not None and (old.status, old.reason) == (new.status, new.reason)
        since = old.since if old is not None and is_same else at
        yield Condition(new.type, new.status, new.reason, new.message, since)
