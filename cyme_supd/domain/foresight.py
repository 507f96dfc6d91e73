"""What would come, pass after pass, until a worker is as it should be. Pure.

Each pass is planned by the very function that the reconciler acts on; here
every action is taken to work, and every broker to be well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from cyme_supd.domain.declaration import entry
from cyme_supd.domain.launch import Launch, direct_entry
from cyme_supd.domain.plan import (
    Action,
    Apply,
    Autoscale,
    Cancel,
    Consume,
    Forget,
    Kill,
    Remove,
    Start,
    Stop,
    WriteLaunch,
    plan,
)
from cyme_supd.domain.rollout import (
    Member,
    Rollout,
    RolloutState,
    RolloutStatus,
    judge,
    turns,
)
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import Answer, Observation, Process, ProcessState, Pulse, Running

#: More than any worker needs: each pass leaves less to do.
MOST_PASSES = 12
#: The pid of a process that is yet to be.
NEXT_PID = -1

_WORDS: Mapping[type[Action], str] = {
    WriteLaunch: "write",
    Apply: "apply",
    Start: "start",
    Stop: "stop",
    Kill: "kill",
    Remove: "remove",
    Forget: "forget",
    Autoscale: "autoscale",
    Consume: "consume",
    Cancel: "cancel",
}
RESTART = "restart"
#: What ends the process that runs now.
ENDING = frozenset({RESTART, "stop", "kill"})


@dataclass(frozen=True, slots=True)
class Step:
    """One action on an instance, in a word; a stop and the start after it are a restart.

    ``queues`` are those it begins or ceases to consume from, ``limits`` the
    new (max, min), where that is what the action is about.
    """

    instance: str
    action: str
    reason: str
    queues: tuple[str, ...] = ()
    limits: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """Of a rolling restart: who together, and who after them, were all to come back.

    ``absent`` are those that have to consume again before anybody's turn comes.
    """

    turns: tuple[tuple[str, ...], ...] = ()
    absent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunningTask:
    """One that a worker runs, as the worker tells of it."""

    instance: str
    id: str
    name: str
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Census:
    """The running tasks of those workers that told of them; of the others, why not."""

    running: tuple[RunningTask, ...] = ()
    silent: Mapping[str, str] = field(default_factory=dict)


def foresee(
    worker: Worker, wanted: Launch, seen: Observation, is_due: bool = False
) -> tuple[Step, ...]:
    """All that is left to do about *worker*, in order.

    *is_due* says that its turn in a rolling restart comes.
    """
    return tuple(_told(_passes(worker, wanted, seen, is_due)))


def order_of(
    app: str,
    branch: str,
    rollout: Rollout,
    members: Sequence[Member],
    before: RolloutStatus | None,
) -> Order:
    """How *rollout* would go on from *before*, its status, with *members* as they are."""
    found: list[tuple[str, ...]] = []
    status = judge(app, branch, rollout, members, before)
    while due := turns(rollout, status, members):
        found.append(due)
        members = [
            replace(each, is_behind=False, is_available=True) if each.name in due else each
            for each in members
        ]
    is_kept = status.state is RolloutState.RUNNING and any(each.is_behind for each in members)
    absent = [each.name for each in members if is_kept and not each.is_available]
    return Order(tuple(found), tuple(absent))


def given(worker: Worker) -> dict[str, str]:
    """What it consumes from once it is as it should be: digests by name."""
    entries = (direct_entry(worker), *map(entry, worker.queues))
    return {each["name"]: each["digest"] for each in entries if each["name"] in worker.consumes}


def _passes(worker: Worker, wanted: Launch, seen: Observation, is_due: bool) -> Iterator[Action]:
    seen = replace(seen, pulse=Pulse(True, seen.now), commanded_at=None)
    for _ in range(MOST_PASSES):
        actions = plan(worker, wanted, seen, is_due)
        if not actions and not _is_ending(seen):
            return
        if not actions:
            seen = _ended(seen)
        for action in actions:
            yield action
            if isinstance(action, Forget):
                return
            seen = _after(worker, wanted, seen, action)


def _is_ending(seen: Observation) -> bool:
    return seen.process is not None and seen.process.state is ProcessState.STOPPING


def _after(worker: Worker, wanted: Launch, seen: Observation, action: Action) -> Observation:
    """*seen*, once *action* has worked."""
    if isinstance(action, WriteLaunch):
        return replace(seen, written=action.launch.digest)
    if isinstance(action, Apply):
        process = seen.process or Process(worker.name, ProcessState.STOPPED)
        return replace(seen, process=process, stop_timeout_s=action.stop_timeout_s)
    if isinstance(action, Start):
        return _started(worker, wanted, seen)
    if isinstance(action, Stop | Kill):
        return _ended(seen)
    return replace(seen, answer=_told_to(seen.answer, action))


def _started(worker: Worker, wanted: Launch, seen: Observation) -> Observation:
    limits = worker.autoscale if worker.is_autoscaled else None
    return replace(
        seen,
        process=Process(worker.name, ProcessState.RUNNING, NEXT_PID),
        running=Running(NEXT_PID, wanted.identity),
        answer=Answer(seen.now, NEXT_PID, limits, given(worker)),
    )


def _ended(seen: Observation) -> Observation:
    name = seen.process.name if seen.process else ""
    care = replace(seen.care, ailment=None, is_due=False, is_overdue=False)
    stopped = Process(name, ProcessState.STOPPED)
    return replace(seen, process=stopped, running=None, answer=None, care=care)


def _told_to(answer: Answer | None, action: Action) -> Answer | None:
    if answer is None:
        return None
    if isinstance(action, Autoscale):
        return replace(answer, autoscale=(action.max, action.min))
    queues: dict[str, Any] = dict(answer.queues)
    if isinstance(action, Consume):
        queues.update({each["name"]: each["digest"] for each in action.entries})
    if isinstance(action, Cancel):
        queues = {name: queues[name] for name in queues.keys() - set(action.queues)}
    return replace(answer, queues=queues)


def _told(actions: Iterable[Action]) -> list[Step]:
    steps: list[Step] = []
    for action in actions:
        if isinstance(action, Start) and steps and steps[-1].action == _WORDS[Stop]:
            steps[-1] = replace(steps[-1], action=RESTART)
        else:
            steps.append(_step(action))
    return steps


def _step(action: Action) -> Step:
    step = Step(action.name, _WORDS[type(action)], action.reason)
    if isinstance(action, Autoscale):
        return replace(step, limits=(action.max, action.min))
    if isinstance(action, Consume):
        return replace(step, queues=tuple(str(each["name"]) for each in action.entries))
    if isinstance(action, Cancel):
        return replace(step, queues=action.queues)
    return step
