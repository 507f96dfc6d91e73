"""What a request waits for, as it shows in what is observed. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cyme_supd.domain.health import QUARANTINED
from cyme_supd.domain.pause import PAUSED
from cyme_supd.domain.spec import Instance
from cyme_supd.domain.status import ProcessState, Status

_FAILING = (ProcessState.BACKOFF, ProcessState.FATAL)


@dataclass(frozen=True, slots=True)
class Seen:
    """One instance as the store has it; both ``None`` once it is gone."""

    instance: Instance | None
    status: Status | None


@dataclass(frozen=True, slots=True)
class Goal:
    """What a request waits for: *is_met* on an observation for *generation* or later.

    ``wish`` completes "w1 is not ..."; ``broker`` is the key of the broker
    its worker needs; ``is_start`` says that a failed start ends the wait,
    ``is_release`` that the end of the instance is as good; ``queue`` names
    the one whose refusal by the broker ends the wait.
    """

    name: str
    generation: int
    broker: str
    wish: str
    is_met: Callable[[Status], bool]
    is_start: bool = False
    is_removal: bool = False
    is_release: bool = False
    queue: str = ""

    def holds(self, seen: Seen) -> bool:
        if self.is_removal:
            return seen.instance is None
        if self.is_release and (seen.instance is None or seen.instance.is_deleting):
            return True
        status = seen.status
        return status is not None and status.generation >= self.generation and self.is_met(status)

    def is_failing(self, seen: Seen) -> bool:
        status = seen.status
        return (
            self.is_start
            and status is not None
            and status.generation >= self.generation
            and status.state in _FAILING
        )


def ready(instance: Instance, broker: str) -> Goal:
    """Its process runs what the edit asked for, and answers."""
    return Goal(instance.name, instance.generation, broker, "ready", _is_ready, is_start=True)


def stopped(instance: Instance, broker: str) -> Goal:
    return Goal(instance.name, instance.generation, broker, "stopped", _is_stopped)


def gone(instance: Instance, broker: str) -> Goal:
    return Goal(instance.name, instance.generation, broker, "gone", _never, is_removal=True)


def scaled(instance: Instance, broker: str) -> Goal:
    limits = (instance.max_concurrency, instance.min_concurrency)

    def has_limits(status: Status) -> bool:
        return status.autoscale == limits

    return Goal(instance.name, instance.generation, broker, "scaled", has_limits, is_start=True)


def consuming(instance: Instance, broker: str, queue: str) -> Goal:
    def has_queue(status: Status) -> bool:
        return status.ready is True and queue in (status.queues or ())

    return Goal(
        instance.name,
        instance.generation,
        broker,
        f"consuming from {queue!r}",
        has_queue,
        is_start=True,
        queue=queue,
    )


def paused(instance: Instance, broker: str) -> Goal:
    """Seen to have let go of what it should leave alone, or without a process."""

    def has_let_go(status: Status) -> bool:
        return not _has_process(status) or any(
            condition.type == PAUSED and condition.status is True for condition in status.conditions
        )

    return Goal(instance.name, instance.generation, broker, "paused", has_let_go, is_release=True)


def resumed(instance: Instance, broker: str) -> Goal:
    """Seen to consume again from what its broker lets it, or without a process."""

    def has_resumed(status: Status) -> bool:
        types = {condition.type for condition in status.conditions}
        is_back = status.consuming is True or QUARANTINED in types
        return not _has_process(status) or (is_back and PAUSED not in types)

    return Goal(instance.name, instance.generation, broker, "resumed", has_resumed, is_release=True)


def not_consuming(instance: Instance, broker: str, queue: str) -> Goal:
    """Seen without *queue*, or without a process; silence is no proof."""

    def lacks_queue(status: Status) -> bool:
        return _lacks(status, queue) or (status.ready is False and not _has_process(status))

    return _release(instance, broker, queue, lacks_queue)


def let_go(instance: Instance, broker: str, queue: str) -> Goal:
    """Seen without *queue*, if it runs and answers at all."""

    def lacks_queue(status: Status) -> bool:
        return _lacks(status, queue) or status.ready is not True

    return _release(instance, broker, queue, lacks_queue)


def _release(instance: Instance, broker: str, queue: str, is_met: Callable[[Status], bool]) -> Goal:
    wish = f"without the queue {queue!r}"
    return Goal(instance.name, instance.generation, broker, wish, is_met, is_release=True)


def _lacks(status: Status, queue: str) -> bool:
    return status.ready is True and status.queues is not None and queue not in status.queues


def _has_process(status: Status) -> bool:
    return status.state is not None and status.state.has_process


def _is_ready(status: Status) -> bool:
    return status.ready is True and status.pid is not None


def _is_stopped(status: Status) -> bool:
    return status.state is None or status.state.is_down


def _never(status: Status) -> bool:
    return False
