"""What is wrong with a worker that runs. Pure.

Silence is no proof: its broker may be the cause, or a task that runs in the
very process that should answer. So a worker counts as hung only when all of
that is excluded; one that the kernel says is stopped needs no such proof.
"""

from __future__ import annotations

from dataclasses import dataclass

from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import Ailment, Answer, Observation

HUNG = "Hung"
DEAF = "Deaf"
MUTE = "NeverAnswered"
NARROW = "PrefetchLost"

#: Questions that a worker leaves unanswered before it is suspected, and of one
#: that was stopped, about which the kernel has the last word.
HUNG_ASKS = 3
STOPPED_ASKS = 2
#: What a worker is given to answer for the first time, and how much more for
#: each that is starting beside it.
START_S = 120.0
START_MORE_S = 10.0
#: In these a task runs in the process that answers.
IN_PROCESS_POOLS = frozenset({"solo", "gevent", "eventlet", "threads"})


@dataclass(frozen=True, slots=True)
class Signs:
    """What the answers of one worker alone do not tell.

    ``unanswered`` questions since its last answer; ``is_stopped``: by a signal,
    as the kernel has it; ``are_all_silent``: nobody at its broker answers;
    ``starting`` are on their way up; ``up_since`` (monotonic) is when its
    process was first seen; ``stuck`` a queue that it leaves full.
    """

    unanswered: int = 0
    is_stopped: bool = False
    are_all_silent: bool = False
    starting: int = 0
    up_since: float = 0.0
    stuck: str | None = None


def diagnose(worker: Worker, seen: Observation, signs: Signs, reconnect_s: float) -> Ailment | None:
    """What its process is to be ended for, if anything; of one that should run."""
    if seen.process is None or not seen.process.state.is_up or seen.pulse.is_well is not True:
        return None
    if seen.now - seen.pulse.since < reconnect_s:
        return None
    answer = seen.answer
    if answer is None or answer.pid != seen.process.pid:
        return _mute(worker, seen, signs)
    if signs.unanswered:
        return _hung(worker, seen, answer, signs)
    return _useless(worker, answer, signs)


def _mute(worker: Worker, seen: Observation, signs: Signs) -> Ailment | None:
    given_s = START_S + START_MORE_S * signs.starting
    waited_s = seen.now - max(signs.up_since, seen.pulse.since)
    if waited_s < given_s or (signs.are_all_silent and not signs.is_stopped):
        return None
    message = f"it has not answered in {given_s:g} s since its start"
    return Ailment(MUTE, message, float(worker.hung_timeout_s))


def _hung(worker: Worker, seen: Observation, answer: Answer, signs: Signs) -> Ailment | None:
    if signs.is_stopped and signs.unanswered >= STOPPED_ASKS:
        # A stopped process does not end warmly; what its pool runs may still finish.
        wait_s = float(worker.hung_timeout_s) if answer.active else 0.0
        return Ailment(HUNG, "its main process was stopped by a signal", wait_s)
    if signs.are_all_silent or signs.unanswered < HUNG_ASKS:
        return None
    patience_s = silence_allowed_s(worker)
    if patience_s is None or seen.now - answer.at < patience_s:
        return None
    message = f"it has left {HUNG_ASKS} questions and more unanswered, for {patience_s} s"
    return Ailment(HUNG, message, float(worker.hung_timeout_s))


def silence_allowed_s(worker: Worker) -> int | None:
    """How long it may be busy and answer nothing; ``None`` for as long as it likes.

    The owner says by ``stop_timeout_s`` how long a task may take.
    """
    if worker.pool == "solo":
        return None
    if worker.pool in IN_PROCESS_POOLS:
        return max(worker.hung_timeout_s, worker.stop_timeout_s)
    return worker.hung_timeout_s


def _useless(worker: Worker, answer: Answer, signs: Signs) -> Ailment | None:
    if answer.active or answer.waiting:
        return None
    if signs.stuck is not None:
        message = f"{signs.stuck} does not empty, and it begins nothing"
        return Ailment(DEAF, message, float(worker.hung_timeout_s))
    if answer.is_narrow:
        message = f"it takes no more than {answer.prefetch} at once since it has reconnected"
        return Ailment(NARROW, message)
    return None
