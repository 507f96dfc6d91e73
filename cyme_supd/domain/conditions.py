"""What else is said of a worker than whether it is ready. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from cyme_supd.domain.doubles import CONFLICT, OLDER_ELSEWHERE, why
from cyme_supd.domain.pause import words
from cyme_supd.domain.restarts import CRASH_LOOPING, STOPPED_BY_HAND, TOO_OFTEN, instead
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import Observation, ProcessState


@dataclass(frozen=True, slots=True)
class Verdict:
    """A condition before it is known since when; ``status`` None is "not known"."""

    type: str
    status: bool | None
    reason: str
    message: str = ""


def conditions(worker: Worker, seen: Observation, ready: Verdict) -> list[Verdict]:
    """All but Ready and Quarantined; each only while there is something to say."""
    verdicts = [*conflict(seen), *crash_loop(seen), *stopped_by_hand(worker, seen)]
    if ready.status is None:
        return [Verdict("Unknown", True, ready.reason, ready.message), *verdicts]
    if ready.status and seen.answer is not None:
        return [_consumption(worker, seen), _progress(seen), *verdicts]
    return verdicts


def ailing(seen: Observation) -> Verdict | None:
    """Of one that is being ended for what it has: that it is not ready."""
    care = seen.care
    has_process = seen.process is not None and seen.process.state.has_process
    if care.ailment is None or not care.is_due or not has_process:
        return None
    return Verdict("Ready", False, care.ailment.reason, care.ailment.message)


def answering(seen: Observation) -> Verdict:
    rival = seen.answer.rival if seen.answer else None
    if rival is None:
        return Verdict("Ready", True, "Answering")
    return Verdict("Ready", True, "Doubled", f"process {rival} answers by its name, too")


def conflict(seen: Observation) -> list[Verdict]:
    """The condition Conflict, while another branch's instance of its name runs for it."""
    if seen.care.yields_to is None:
        return []
    return [Verdict(CONFLICT, True, OLDER_ELSEWHERE, why(seen.care.yields_to))]


def crash_loop(seen: Observation) -> list[Verdict]:
    """The condition CrashLooping, while there is one."""
    if seen.care.looping_since is not None:
        next_on = seen.care.retry_at
        then = f"it is tried again at {next_on.isoformat()}" if next_on else "it is being tried"
        return [Verdict(CRASH_LOOPING, True, TOO_OFTEN, f"it ends too soon, too often; {then}")]
    if seen.process is None or seen.process.state not in (
        ProcessState.BACKOFF,
        ProcessState.FATAL,
    ):
        return []
    message = seen.process.spawn_error or "it ends soon after every start"
    return [Verdict(CRASH_LOOPING, True, seen.process.state.value.capitalize(), message)]


def stopped_by_hand(worker: Worker, seen: Observation) -> list[Verdict]:
    """The condition StoppedByHand, for a while."""
    if not seen.care.was_stopped_by_hand:
        return []
    message = f"somebody stopped it by supervisorctl, and it is started again; {instead(worker)}"
    message = f"{message}, supervisorctl cyme pause {worker.name} keeps it from taking work"
    return [Verdict(STOPPED_BY_HAND, True, "Supervisorctl", message)]


def consuming(worker: Worker, seen: Observation) -> bool:
    """Whether it consumes from every queue it was given: not while one is paused."""
    return (
        not worker.paused
        and seen.answer is not None
        and worker.consumes <= seen.answer.queues.keys()
    )


def _consumption(worker: Worker, seen: Observation) -> Verdict:
    if consuming(worker, seen):
        return Verdict("Consuming", True, "AsWanted")
    if worker.paused:
        return Verdict("Consuming", False, *words(worker))
    known = seen.answer.queues if seen.answer else {}
    missing = ", ".join(sorted(worker.consumes - known.keys()))
    return Verdict("Consuming", False, "QueuesMissing", f"not from {missing}")


def _progress(seen: Observation) -> Verdict:
    if seen.care.stuck is None:
        return Verdict("Progressing", True, "NothingIsLeft")
    message = f"{seen.care.stuck} does not empty, and it begins nothing"
    return Verdict("Progressing", False, "QueueGrows", message)
