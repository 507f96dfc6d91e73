"""From what should be and what is, the next steps. Pure.

An action says only what to do. Whether it worked, the next observation
says; so an action may be repeated, or lost with the branch, and nothing is
wrong after the next pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cyme_supd.domain.declaration import entry
from cyme_supd.domain.launch import Launch, direct_entry
from cyme_supd.domain.moving import Move, Step
from cyme_supd.domain.restarts import instead
from cyme_supd.domain.rollout import base, number_of
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import Answer, Observation, Process, ProcessState, Running


@dataclass(frozen=True, slots=True)
class Action:
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class WriteLaunch(Action):
    """Put the launch file in place: what the next process boots with."""

    launch: Launch


@dataclass(frozen=True, slots=True)
class Apply(Action):
    """Make the program known to supervisord, stopped."""

    stop_timeout_s: int


class Start(Action):
    """Start the program."""


class Stop(Action):
    """Ask the process to end warmly; supervisord kills it when its time is up."""


class Kill(Action):
    """End the process now."""


class Remove(Action):
    """Take the program and its files away."""


class Release(Action):
    """Store that nothing of it is left here: it may run on the branch it moves to."""


class Forget(Action):
    """Drop what the store holds of it: the deletion is complete."""


@dataclass(frozen=True, slots=True)
class Autoscale(Action):
    """Tell the running worker its limits."""

    max: int
    min: int


@dataclass(frozen=True, slots=True)
class Consume(Action):
    """Tell the running worker to consume from queues: full declarations."""

    entries: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Cancel(Action):
    """Tell the running worker to consume from queues no longer."""

    queues: tuple[str, ...]


#: How soon a queue that was refused is tried again.
RETRY_REFUSED_S = 60.0


def plan(
    worker: Worker, wanted: Launch, seen: Observation, is_due: bool = False
) -> tuple[Action, ...]:
    """What to do about *worker* now, in order; empty when it is as it should be.

    *is_due* says that it is its turn in a rolling restart.
    """
    if worker.instance.is_deleting:
        return _deletion(worker, seen)
    if worker.instance.move is not None:
        return _departure(worker, worker.instance.move, seen)
    steps: list[Action] = []
    if seen.written != wanted.digest:
        reason = "no launch file" if seen.written is None else "drift in the launch file"
        steps.append(WriteLaunch(worker.name, reason, wanted))
    if seen.process is None:
        steps.append(Apply(worker.name, "not known to supervisord", worker.stop_timeout_s))
    elif seen.stop_timeout_s not in (None, worker.stop_timeout_s):
        steps.append(Apply(worker.name, "stop_timeout_s changed", worker.stop_timeout_s))
    steps.extend(_run(worker, wanted, seen, is_due))
    return tuple(steps)


def _deletion(worker: Worker, seen: Observation) -> tuple[Action, ...]:
    if seen.process is None or not (seen.process.state.has_process or _is_retried(seen.process)):
        return (Remove(worker.name, "deleted"), Forget(worker.name, "deleted"))
    if worker.instance.is_forced and seen.process.state.has_process:
        return (Kill(worker.name, "deleted by force"),)
    if seen.process.state is ProcessState.STOPPING:
        return ()
    return (Stop(worker.name, "deleted"),)


def _departure(worker: Worker, move: Move, seen: Observation) -> tuple[Action, ...]:
    """Its last actions here. Once it is released it may run elsewhere: there are no more."""
    if move.step is not Step.STOPPING:
        return ()
    why, process = f"it moves to branch {move.to!r}", seen.process
    if process is None or not (process.state.has_process or _is_retried(process)):
        return (Remove(worker.name, why), Release(worker.name, why))
    if process.state is ProcessState.STOPPING:
        return ()
    return (Stop(worker.name, why),)


def _is_retried(process: Process) -> bool:
    return process.state is ProcessState.BACKOFF


def _run(worker: Worker, wanted: Launch, seen: Observation, is_due: bool) -> tuple[Action, ...]:
    state = seen.process.state if seen.process else ProcessState.STOPPED
    if not worker.instance.is_enabled:
        if seen.process and (state.is_up or _is_retried(seen.process)):
            return (Stop(worker.name, "disabled"),)
        return ()
    if (why := _why_held(seen)) is not None:
        is_kept = state.is_up or (seen.process is not None and _is_retried(seen.process))
        return (Stop(worker.name, why),) if is_kept else ()
    if state.is_down:
        return (Start(worker.name, _why_start(worker, seen)),)
    if seen.care.is_overdue and state.has_process:
        return (Kill(worker.name, f"{_ailment(seen)}, and it does not end"),)
    if not state.is_up or seen.process is None:
        return ()
    if seen.care.is_due:
        return (Stop(worker.name, _ailment(seen)),)
    if is_outdated(wanted, seen.process, seen.running):
        return (Stop(worker.name, "what it was launched with has changed"),)
    if is_due and is_behind(wanted, seen.process, seen.running):
        return (Stop(worker.name, "its turn in the rolling restart"),)
    if not is_answering(seen) or seen.answer is None:
        return ()
    if _has_other_declarations(worker, seen.answer):
        return (Stop(worker.name, "the declaration of a queue has changed"),)
    if seen.pulse.is_well is False:
        # A command would be lost, or arrive when it is no longer wanted.
        return ()
    if seen.commanded_at is not None and seen.answer.at <= seen.commanded_at:
        # Told already; this answer is from before.
        return ()
    return (*_limits(worker, seen.answer), *_queues(worker, seen.answer, seen))


def _why_held(seen: Observation) -> str | None:
    """Why one that is enabled is to stay stopped, if so."""
    if seen.care.yields_to is not None:
        return f"branch {seen.care.yields_to!r} has an older one of this name"
    return "it has ended too often" if seen.care.is_held else None


def _ailment(seen: Observation) -> str:
    return seen.care.ailment.message if seen.care.ailment else ""


def is_outdated(wanted: Launch, process: Process, running: Running | None) -> bool:
    """Whether the process that runs was launched with something else.

    A process whose launcher has not written yet is not outdated: it will
    read today's file.
    """
    return (
        running is not None
        and running.pid == process.pid
        and base(running.identity) != base(wanted.identity)
    )


def is_behind(wanted: Launch, process: Process, running: Running | None) -> bool:
    """Whether the process that runs is from before the last rolling restart."""
    return (
        running is not None
        and running.pid == process.pid
        and number_of(running.identity) < number_of(wanted.identity)
    )


def is_answering(seen: Observation) -> bool:
    """Whether the newest answer is from the process that runs now."""
    return seen.is_answering


def refused(worker: Worker, answer: Answer) -> dict[str, str]:
    """Queues it should have and cannot, as they are declared now, with the reason."""
    wanted = {queue.name: entry(queue)["digest"] for queue in worker.queues}
    return {
        name: reason
        for name, (digest, reason) in answer.refused.items()
        if wanted.get(name) == digest
    }


def _has_other_declarations(worker: Worker, answer: Answer) -> bool:
    """Whether it consumes from a queue as it was declared before.

    No message makes a worker bind a queue it knows to another exchange.
    """
    return any(
        answer.queues.get(queue.name) not in (None, "", entry(queue)["digest"])
        for queue in worker.queues
    )


def _limits(worker: Worker, answer: Answer) -> tuple[Action, ...]:
    if answer.autoscale in (None, worker.autoscale):
        return ()
    most, least = worker.autoscale
    return (Autoscale(worker.name, "limits differ", most, least),)


def _queues(worker: Worker, answer: Answer, seen: Observation) -> tuple[Action, ...]:
    steps: list[Action] = []
    is_early = seen.commanded_at is not None and seen.now - seen.commanded_at < RETRY_REFUSED_S
    held_back = refused(worker, answer) if is_early or seen.commanded_at is None else {}
    missing = tuple(
        declared
        for declared in (direct_entry(worker), *map(entry, worker.queues))
        if declared["name"] in worker.consumes - answer.queues.keys() - held_back.keys()
    )
    extra = tuple(sorted(answer.queues.keys() - worker.consumes))
    if missing:
        steps.append(Consume(worker.name, "drift", missing))
    if extra:
        reason = "paused" if worker.paused.keys() >= set(extra) else "drift"
        steps.append(Cancel(worker.name, reason, extra))
    return tuple(steps)


def _why_start(worker: Worker, seen: Observation) -> str:
    process = seen.process
    if process is None:
        return "new"
    is_by_hand = seen.care.was_stopped_by_hand and not seen.is_asked_to_end
    if process.state is ProcessState.STOPPED and is_by_hand:
        return f"somebody stopped it by supervisorctl; {instead(worker)}"
    if process.state is ProcessState.FATAL:
        return "supervisord gave it up"
    if process.state is ProcessState.EXITED:
        return "it ended"
    return "it should run"
