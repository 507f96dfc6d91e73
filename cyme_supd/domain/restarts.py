"""How often a worker ends, and when it may be started or ended again. Pure.

supervisord starts again what ends, at once and without end. Here it is
counted: one that ends soon after each of its starts is stopped, and tried
again after pauses that grow with the time for which that has gone on. So
nothing but the moment it began has to be stored for the pauses not to start
from the shortest when the branch does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cyme_supd.domain.healing import DEAF, HUNG, MUTE
from cyme_supd.domain.progress import Trail
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import Ailment, Care, Condition, Observation, Process, ProcessState

#: Those that a process may be killed for.
AILMENTS = frozenset({HUNG, DEAF, MUTE})
#: The condition of one that ends too often, and its reason.
CRASH_LOOPING = "CrashLooping"
TOO_OFTEN = "RestartsTooOften"

#: The condition of one that somebody else had supervisord stop, and for how long
#: it is told: who wonders that it is up again looks only then.
STOPPED_BY_HAND = "StoppedByHand"
BY_HAND_S = 600.0

#: Ends in a row, each soon after its start, that supervisord alone deals with.
FREE_ENDS = 5
PAUSE_S = 10.0
LONGEST_PAUSE_S = 300.0
#: Between two ends that the branch itself decided on, when they help nothing.
LONGEST_GAP_S = 1800.0
#: How much longer or shorter than said a pause may be.
JITTER = 0.25

_ENDED = (ProcessState.BACKOFF, ProcessState.EXITED, ProcessState.FATAL)
_ASKED = (ProcessState.STOPPING, ProcessState.STOPPED)


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of one worker; instants are monotonic, but where it is said.

    ``pid`` and ``started_at`` (supervisord's clock) are of the process seen
    last, ``up_since`` when it was first seen, ``is_ending`` that it was asked
    to end. ``strikes`` counts ends in a row that came soon. While
    ``looping_since`` (wall clock) it is either held until ``retry_at``
    (``retry_on`` by the wall clock) or ``is_trying``. ``ailing`` is what it was
    asked to end for at ``ended_at``; ``endings`` how often it was in a row.
    ``by_hand_at`` is when supervisord stopped it last for somebody else.
    """

    generation: int = 0
    pid: int | None = None
    started_at: float | None = None
    up_since: float = 0.0
    is_ending: bool = False
    strikes: int = 0
    looping_since: datetime | None = None
    retry_at: float | None = None
    retry_on: datetime | None = None
    is_trying: bool = False
    ailing: Ailment | None = None
    ended_at: float | None = None
    endings: int = 0
    trail: Trail | None = None
    by_hand_at: float | None = None


def restored(
    generation: int, conditions: tuple[Condition, ...], seen: Observation, kill_after_s: float
) -> Record:
    """What a branch that starts knows of a worker; a try that goes on is let go on."""
    record, process = Record(generation=generation), seen.process
    for condition in conditions:
        if condition.reason in AILMENTS and process and process.state is ProcessState.STOPPING:
            ailing = Ailment(condition.reason, condition.message, kill_after_s)
            record = replace(record, ailing=ailing, ended_at=seen.now, endings=1)
        if condition.type == CRASH_LOOPING and condition.reason == TOO_OFTEN:
            is_up = process is not None and process.state.is_up
            record = replace(
                record,
                strikes=FREE_ENDS + 1,
                looping_since=condition.since,
                is_trying=is_up,
            )
    return record


def follow(
    record: Record,
    generation: int,
    seen: Observation,
    settled_s: float,
    at: datetime,
    chance: float,
) -> Record:
    """*record* after another look.

    A process that has been up for *settled_s* did not end soon; *at* is the
    wall clock; *chance*, within 0 and 1, makes pauses differ.
    """
    if generation != record.generation:
        record = _with_another_spec(record, generation, seen, at)
    counted = _count(record, seen, settled_s)
    counted = _settle(counted, seen, settled_s)
    has_ended = counted.strikes > record.strikes
    return _loop(counted, seen, has_ended, at, chance)


def _with_another_spec(record: Record, generation: int, seen: Observation, at: datetime) -> Record:
    """What ended may now stay up; one that was given up is tried at once."""
    is_given_up = _is_given_up(seen)
    return replace(
        record,
        generation=generation,
        strikes=0,
        looping_since=at if is_given_up else None,
        retry_at=None,
        is_trying=is_given_up,
        endings=0,
        ended_at=None,
        by_hand_at=None,
    )


def _is_given_up(seen: Observation) -> bool:
    return seen.process is not None and seen.process.state is ProcessState.FATAL


def _count(record: Record, seen: Observation, settled_s: float) -> Record:
    process = seen.process
    if process is None:
        return record
    if process.state in _ASKED:
        record = _note_hand(record, seen)
        is_gone = process.state is ProcessState.STOPPED
        return replace(record, is_ending=not is_gone, pid=None if is_gone else record.pid)
    is_new = _is_another(record, process)
    if process.state in _ENDED:
        if not is_new and record.pid is None:
            return record
        ended = _strike(record, seen, settled_s)
        return replace(ended, pid=None, started_at=process.started_at, is_ending=False)
    if not process.state.is_up or not is_new:
        return record
    before = _strike(record, seen, settled_s) if record.pid is not None else record
    return replace(
        before,
        pid=process.pid,
        started_at=process.started_at,
        up_since=seen.now,
        is_ending=False,
        ailing=None,
        trail=None,
    )


def _note_hand(record: Record, seen: Observation) -> Record:
    """One that was up when it was seen last is stopped for whoever asked for it."""
    is_first_look = record.pid is not None and not record.is_ending
    if not is_first_look or seen.is_asked_to_end:
        return record
    return replace(record, by_hand_at=seen.now)


def _is_another(record: Record, process: Process) -> bool:
    is_pid_new = process.pid is not None and process.pid != record.pid
    return is_pid_new or process.started_at != record.started_at


def _strike(record: Record, seen: Observation, settled_s: float) -> Record:
    """It ended; by itself, unless it was asked to."""
    if record.is_ending:
        return record
    is_soon = record.pid is None or seen.now - record.up_since < settled_s
    return replace(record, strikes=record.strikes + 1 if is_soon else 0)


def _settle(record: Record, seen: Observation, settled_s: float) -> Record:
    """Up and answering for long enough, it starts from nothing again."""
    if not seen.is_answering or seen.now - record.up_since < settled_s:
        return record
    is_well = record.ended_at is None or seen.now - record.ended_at >= 2 * _gap(record, settled_s)
    return replace(
        record,
        strikes=0,
        looping_since=None,
        retry_at=None,
        is_trying=False,
        endings=0 if is_well else record.endings,
    )


def _loop(
    record: Record, seen: Observation, has_ended: bool, at: datetime, chance: float
) -> Record:
    if record.looping_since is None:
        if record.strikes <= FREE_ENDS and not _is_given_up(seen):
            return record
        record = replace(record, looping_since=at, is_trying=False, retry_at=None)
    if record.is_trying and not has_ended:
        return record
    if record.retry_at is None or record.is_trying:
        pause_s = pause(record.looping_since, at) * (1 + JITTER * (2 * chance - 1))
        retry_on = (at + timedelta(seconds=pause_s)).replace(microsecond=0)
        return replace(record, is_trying=False, retry_at=seen.now + pause_s, retry_on=retry_on)
    is_down = seen.process is None or seen.process.state.is_down
    if is_down and seen.now >= record.retry_at:
        return replace(record, is_trying=True, retry_at=None)
    return record


def pause(since: datetime | None, at: datetime) -> float:
    """Seconds to the next try of one that has ended too often *since* then."""
    lasted_s = (at - since).total_seconds() if since else 0.0
    return min(LONGEST_PAUSE_S, max(PAUSE_S, lasted_s))


def treat(record: Record, seen: Observation, ailment: Ailment | None, gap_s: float) -> Record:
    """*record* with what it has now; that it is asked to end for it, if it may be.

    *gap_s* lies between two such ends at the least, and twice as much each
    time, until it has been well for a while.
    """
    if record.ailing is not None and seen.process and seen.process.state.has_process:
        is_up = seen.process.state.is_up
        return replace(record, ailing=None) if is_up and ailment is None else record
    if ailment is None or not _may_end(record, seen.now, gap_s):
        return record
    return replace(record, ailing=ailment, ended_at=seen.now, endings=record.endings + 1)


def _may_end(record: Record, now: float, gap_s: float) -> bool:
    return record.ended_at is None or now - record.ended_at >= _gap(record, gap_s)


def _gap(record: Record, gap_s: float) -> float:
    """What lies between its last end of this kind and the next, at the least."""
    wanted_s = gap_s * 2.0 ** min(max(0, record.endings - 1), 16)
    return min(max(LONGEST_GAP_S, gap_s), wanted_s)


def care(record: Record, seen: Observation, ailment: Ailment | None, stuck: str | None) -> Care:
    """What follows from it for the plan and for what is said."""
    ailing = record.ailing
    is_overdue = (
        ailing is not None
        and ailing.kill_after_s is not None
        and record.is_ending
        and record.ended_at is not None
        and seen.now - record.ended_at >= ailing.kill_after_s
    )
    is_held = record.retry_at is not None
    return Care(
        ailment=ailing or ailment,
        is_due=ailing is not None,
        is_overdue=is_overdue,
        looping_since=record.looping_since,
        is_held=is_held,
        retry_at=record.retry_on if is_held else None,
        stuck=stuck,
        was_stopped_by_hand=record.by_hand_at is not None
        and seen.now - record.by_hand_at < BY_HAND_S,
    )


def instead(worker: Worker) -> str:
    """What to do instead of stopping it by hand."""
    return f"supervisorctl cyme disable {worker.name} keeps it stopped"
