"""What becomes of a run when its runner says something of it, or nothing any more. Pure.

Messages may come twice and in any order. The claim that was granted is known by
its nonce; what is said with another one changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from cyme_supd.domain.firing import ended, never_ordered
from cyme_supd.domain.job import Job, Overlap, Run, RunEvent, RunOutput, RunStatus, retry_after_s
from cyme_supd.domain.orders import (
    Alive,
    Claim,
    Ended,
    Grant,
    Output,
    Reason,
    Refusal,
    RunEnd,
    Started,
    Withdrawal,
)

#: What is not heard of for so long has gone with its runner.
LOST_AFTER_S = 60.0
#: A claim that was given up does not arrive later than that.
WITHDRAWN_FOR = timedelta(days=1)

UNDER_WAY = (RunStatus.QUEUED, RunStatus.RUNNING)
#: Ends after which another attempt is made, while the job has some left.
_RETRIED = (RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.LOST)
_EVENTS = {RunEnd.SUCCEEDED: "finished"}

Said = Claim | Withdrawal | Started | Alive | Output | Ended


@dataclass(frozen=True, slots=True)
class Outcome:
    """The run as it is from now on, and what is to be kept and said besides."""

    run: Run | None
    events: tuple[RunEvent, ...] = ()
    output: RunOutput | None = None
    answer: Grant | Refusal | None = None


def hear(
    run: Run | None, job: Job | None, said: Said, is_withdrawn: bool, now: datetime
) -> Outcome:
    """*run* and its *job* are as they are stored, ``None`` where they are not.

    *is_withdrawn* is whether the nonce was given up before; *now* is by the
    database's clock.
    """
    if run is None:
        is_asked = isinstance(said, Claim)
        return Outcome(None, answer=_refuse(said, Reason.UNKNOWN) if is_asked else None)
    if isinstance(said, Claim):
        return _claim(run, job, said, is_withdrawn, now)
    if isinstance(said, Withdrawal):
        return _withdraw(run, job, said, is_withdrawn, now)
    if run.nonce != said.nonce or run.status not in (RunStatus.RUNNING, RunStatus.LOST):
        return Outcome(run)
    return _HEARD[type(said)](run, job, said, now)


def lose(run: Run, job: Job | None, now: datetime) -> Outcome:
    """Nothing is heard of it any more; its nonce stays, unless it is tried again."""
    reason = f"its runner, {run.instance} on {run.host}, was not heard of for a minute"
    lost = replace(run, status=RunStatus.LOST, finished_at=now, reason=reason)
    return _retried(Outcome(lost, (_event(run, now, "lost", reason),)), job, now)


def cancel(run: Run, now: datetime) -> Outcome:
    """One that nobody has begun."""
    return _end_unbegun(run, RunStatus.CANCELLED, now, "it was cancelled")


def has_ended(before: Run, after: Run) -> bool:
    """Whether what waits for the end of *before* may go on."""
    return before.status in UNDER_WAY and after.status not in UNDER_WAY


def release(job: Job | None, held: Sequence[Run], is_busy: bool, now: datetime) -> list[Run]:
    """Which of the *held* runs of a job are to be ordered now.

    *is_busy* is whether another run of it is under way. One that is gone, or
    lets its runs overlap by now, holds none back.
    """
    ordered = sorted(held, key=lambda run: (run.fire_at, run.id))
    is_open = job is None or job.overlap == Overlap.ALLOW
    if not is_open:
        ordered = [] if is_busy else ordered[:1]
    return [replace(run, order_at=now) for run in ordered]


def _claim(run: Run, job: Job | None, said: Claim, is_withdrawn: bool, now: datetime) -> Outcome:
    if said.job != run.job_id:
        return Outcome(run, answer=_refuse(said, Reason.UNKNOWN))
    if run.status == RunStatus.CANCELLED:
        return Outcome(run, answer=_refuse(said, Reason.CANCELLED))
    is_its = run.status == RunStatus.RUNNING and run.nonce == said.nonce
    if is_its and job is not None and not is_withdrawn:
        return Outcome(replace(run, heard_at=now), answer=_grant(run, job, said.nonce))
    if run.status != RunStatus.QUEUED or is_withdrawn:
        return Outcome(run, answer=_refuse(said, Reason.CLAIMED))
    if refused := never_ordered(run, job, now):
        status, reason = refused
        is_late = status != RunStatus.CANCELLED
        answer = _refuse(said, Reason.LATE if is_late else Reason.CANCELLED)
        return replace(_end_unbegun(run, status, now, reason), answer=answer)
    assert job is not None
    claimed = replace(
        run,
        status=RunStatus.RUNNING,
        nonce=said.nonce,
        reply=said.reply,
        host=said.host,
        instance=said.instance,
        heard_at=now,
        order_at=None,
        reason=None,
    )
    return Outcome(claimed, answer=_grant(claimed, job, said.nonce))


def _end_unbegun(run: Run, status: RunStatus, now: datetime, reason: str) -> Outcome:
    changed, event = ended(replace(run, nonce=None), status, now, reason)
    return Outcome(changed, (event,))


def _withdraw(
    run: Run, job: Job | None, said: Withdrawal, is_withdrawn: bool, now: datetime
) -> Outcome:
    if run.status == RunStatus.QUEUED:
        # Its order is gone with the claim, whether that has arrived or not.
        is_ordered = run.orders > 0 and run.order_at is not None and not is_withdrawn
        gone = replace(run, order_at=min(run.order_at or now, now), orders=0)
        return Outcome(gone if is_ordered else run)
    if run.nonce != said.nonce or run.started_at is not None:
        return Outcome(run)
    if run.status not in (RunStatus.RUNNING, RunStatus.LOST):
        return Outcome(run)
    if run.wants_cancel:
        return cancel(run, now)
    # While it was taken for lost another one may have been let go on.
    is_held = run.status == RunStatus.LOST and job is not None and job.overlap == Overlap.QUEUE
    event = _event(run, now, "queued", f"given back by {run.instance} on {run.host}")
    return Outcome(replace(_unclaimed(run), order_at=None if is_held else now), (event,))


def _started(run: Run, job: Job | None, said: Started, now: datetime) -> Outcome:
    found = _found(run, now)
    if run.started_at is not None:
        return found
    assert found.run is not None
    begun = replace(found.run, started_at=said.at)
    return replace(found, run=begun, events=(*found.events, _starting(begun, now, said.pid)))


def _alive(run: Run, job: Job | None, said: Alive, now: datetime) -> Outcome:
    return _found(run, now)


def _output(run: Run, job: Job | None, said: Output, now: datetime) -> Outcome:
    output = RunOutput(run.id, now, said.size, said.tail)
    return replace(_found(run, now), output=output)


def _ended(run: Run, job: Job | None, said: Ended, now: datetime) -> Outcome:
    status = RunStatus(said.status)
    starting = [] if run.started_at else [_starting(run, now, said.pid)]
    changed = replace(
        run,
        status=status,
        exit_code=said.exit_code,
        signal=said.signal,
        reason=said.error,
        started_at=said.started_at,
        finished_at=said.finished_at,
        host=said.host,
        instance=said.instance,
        heard_at=now,
    )
    event = _event(run, now, _EVENTS.get(said.status, str(status)), _how(said))
    output = RunOutput(run.id, now, said.size, said.tail, said.is_truncated)
    return _retried(Outcome(changed, (*starting, event), output), job, now)


def _found(run: Run, now: datetime) -> Outcome:
    """It is well; also one that was taken for lost, and not tried again."""
    if run.status == RunStatus.RUNNING:
        return Outcome(replace(run, heard_at=now))
    found = replace(run, status=RunStatus.RUNNING, heard_at=now, finished_at=None, reason=None)
    return Outcome(found, (_event(run, now, "found", "its runner is heard of again"),))


def _retried(outcome: Outcome, job: Job | None, now: datetime) -> Outcome:
    run = outcome.run
    assert run is not None
    has_more = job is not None and run.attempt <= job.retries
    if run.status not in _RETRIED or run.wants_cancel or not has_more:
        return outcome
    after_s = retry_after_s(run.attempt)
    reason = f"attempt {run.attempt} {str(run.status).replace('_', ' ')}"
    again = replace(
        _unclaimed(run),
        attempt=run.attempt + 1,
        order_at=now + timedelta(seconds=after_s),
        reason=reason,
    )
    event = _event(run, now, "retrying", f"attempt {again.attempt} in {after_s} s")
    return replace(outcome, run=again, events=(*outcome.events, event))


def _unclaimed(run: Run) -> Run:
    return replace(
        run,
        status=RunStatus.QUEUED,
        orders=0,
        nonce=None,
        reply=None,
        heard_at=None,
        host=None,
        instance=None,
        started_at=None,
        finished_at=None,
        exit_code=None,
        signal=None,
        reason=None,
    )


def _grant(run: Run, job: Job, nonce: str) -> Grant:
    return Grant(
        run=run.id,
        nonce=nonce,
        job=job.id,
        name=job.name,
        category=job.category,
        fire_time=run.fire_at,
        command=job.command,
        argv=job.argv,
        environment=job.environment,
        user=job.user,
        timeout_s=None if job.timeout_s is None else float(job.timeout_s),
    )


def _refuse(said: Any, reason: Reason) -> Refusal:
    return Refusal(said.run, said.nonce, reason)


def _starting(run: Run, now: datetime, pid: int) -> RunEvent:
    return _event(run, now, "starting", f"{run.instance} on {run.host}, process {pid}")


def _how(said: Ended) -> str:
    if said.error is not None:
        return said.error
    if said.signal is not None:
        return f"signal {said.signal}"
    return f"exit code {said.exit_code}"


def _event(run: Run, now: datetime, type: str, message: str) -> RunEvent:
    return RunEvent(run.id, now, type, message)


_HEARD: Mapping[type[Any], Callable[[Run, Job | None, Any, datetime], Outcome]] = {
    Started: _started,
    Alive: _alive,
    Output: _output,
    Ended: _ended,
}
