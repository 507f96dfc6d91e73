"""Waiting for what was asked to be observed."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from cyme_supd.clock import Clock
from cyme_supd.domain.health import NAME_TAKEN, QUARANTINED
from cyme_supd.domain.pause import PAUSED
from cyme_supd.domain.ports import Logs, Store, View
from cyme_supd.domain.spec import Instance
from cyme_supd.domain.status import Branch, ProcessState, Status
from cyme_supd.errors import Conflict, NotFound, SpawnFailed, Timeout, Unavailable
from cyme_supd.service.looking import branch_or_none
from cyme_supd.service.observed import ThisBranch, why_down

POLL_S = 0.02
#: A failed start must last this long: right after an edit the state that is
#: stored may still be the one the edit is there to end.
FAILING_S = 0.3
LOG_TAIL = 4096
LOG_LINES = 20

_FAILING = (ProcessState.BACKOFF, ProcessState.FATAL)


class NameTaken(Conflict):
    """The host has a program of that name which is not Cyme's."""


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


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far a change got: observed, or stored only, for ``reason``."""

    is_converged: bool
    reason: str = ""


STORED = Outcome(False)
CONVERGED = Outcome(True)
CROWDED = Outcome(False, "too many requests are waiting already; it is stored and goes on")


class Waits:
    """The waits of one process, so many at a time and no more."""

    def __init__(
        self, store: Store, logs: Logs, clock: Clock, here: ThisBranch, limit: int
    ) -> None:
        self._store = store
        self._logs = logs
        self._clock = clock
        self._here = here
        self._slots = threading.BoundedSemaphore(limit)
        self.is_stopping = False

    def stop(self) -> None:
        # A plain flag: this runs in a signal's handler, where a lock may
        # already be held by the code that was interrupted.
        self.is_stopping = True

    def check_stopping(self) -> None:
        """Raise ``Unavailable`` once the process is about to end."""
        if self.is_stopping:
            raise Unavailable(
                "the server is stopping", "what was asked is stored and goes on; look again soon"
            )

    def until(self, goals: Sequence[Goal], timeout_s: float | None) -> Outcome:
        """Wait for all *goals*, *timeout_s* seconds in all; ``None`` does not wait.

        Comes back early, unconverged, when the broker or supervisord is
        known to be down. Raises ``Timeout``, ``SpawnFailed``, ``Conflict``
        when an instance is deleted meanwhile, ``Unavailable`` when the
        process stops.
        """
        if timeout_s is None:
            return STORED
        with self.slot() as is_free:
            return _Wait(self, goals, timeout_s).run() if is_free else CROWDED

    @contextmanager
    def slot(self) -> Iterator[bool]:
        """Whether one more may hold a thread; if so, it counts until the end."""
        is_free = self._slots.acquire(blocking=False)
        try:
            yield is_free
        finally:
            if is_free:
                self._slots.release()


class _Wait:
    def __init__(self, waits: Waits, goals: Sequence[Goal], timeout_s: float) -> None:
        self._waits = waits
        self._store = waits._store
        self._clock = waits._clock
        self._goals = goals
        self._timeout_s = timeout_s
        self._failing_since: dict[str, float] = {}
        self._seen: dict[str, Seen] = {}
        self._branch: Branch | None = None

    def run(self) -> Outcome:
        deadline = self._clock.monotonic() + self._timeout_s
        version: int | None = None
        while True:
            self._waits.check_stopping()
            # Asked before looking: what is committed in between is seen next time.
            current = self._store.version()
            if current != version:
                version = current
                self._look()
            outcome = self._judge()
            if outcome is not None:
                return outcome
            left = deadline - self._clock.monotonic()
            if left <= 0:
                raise self._timed_out()
            self._clock.sleep(min(POLL_S, left))

    def _look(self) -> None:
        with self._store.reading() as view:
            self._seen = {goal.name: _seen(view, goal.name) for goal in self._goals}
            self._branch = branch_or_none(view, self._waits._here.id)

    def _judge(self) -> Outcome | None:
        open_goals = [goal for goal in self._goals if not goal.holds(self._seen[goal.name])]
        if not open_goals:
            return CONVERGED
        for goal in open_goals:
            self._check_gone(goal)
            self._check_taken(goal)
            self._check_quarantined(goal)
            self._check_failing(goal)
        keys = {goal.broker for goal in open_goals}
        reason = why_down(self._branch, keys, self._clock.now())
        return Outcome(False, reason) if reason else None

    def _check_gone(self, goal: Goal) -> None:
        instance = self._seen[goal.name].instance
        if not goal.is_removal and (instance is None or instance.is_deleting):
            raise Conflict(f"{goal.name} was deleted meanwhile")

    def _check_taken(self, goal: Goal) -> None:
        status = self._seen[goal.name].status
        if not goal.is_start or status is None or status.generation < goal.generation:
            return
        for condition in status.conditions:
            if condition.reason == NAME_TAKEN:
                raise NameTaken(condition.message, "choose another name")

    def _check_quarantined(self, goal: Goal) -> None:
        seen = self._seen[goal.name]
        if not goal.queue or seen.status is None or seen.status.generation < goal.generation:
            return
        reason = _refusal(seen, goal.queue)
        if reason is not None:
            raise Conflict(
                f"the broker refuses {goal.queue!r} as it is declared: {reason}",
                "change the declaration or the broker's queue; it is stored and tried again",
            )

    def _check_failing(self, goal: Goal) -> None:
        seen = self._seen[goal.name]
        if not goal.is_failing(seen):
            self._failing_since.pop(goal.name, None)
            return
        now = self._clock.monotonic()
        if now - self._failing_since.setdefault(goal.name, now) >= FAILING_S:
            raise self._not_started(goal, seen)

    def _not_started(self, goal: Goal, seen: Seen) -> SpawnFailed:
        state = seen.status.state if seen.status else None
        lines = self._waits._logs.tail(goal.name, LOG_TAIL).decode("utf-8", "replace").splitlines()
        log = "\n".join(lines[-LOG_LINES:]) or "(its log is empty)"
        return SpawnFailed(
            f"{goal.name} does not start, supervisord says {state}; the end of its log:\n{log}",
            "it is stored and goes on being tried",
        )

    def _timed_out(self) -> Timeout:
        late = [goal for goal in self._goals if not goal.holds(self._seen[goal.name])]
        first = late[0]
        others = f", and {len(late) - 1} more" if len(late) > 1 else ""
        return Timeout(
            f"{first.name} is not {first.wish} after {self._timeout_s:g} s: "
            f"{_progress(self._seen[first.name], first.generation)}{others}",
            "what was asked is stored and goes on converging",
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


def _seen(view: View, name: str) -> Seen:
    try:
        return Seen(view.instance(name), view.status(name))
    except NotFound:
        return Seen(None, None)


def _refusal(seen: Seen, queue: str) -> str | None:
    """Why the broker refuses *queue*, out of ``<queue>: <reason>; ...``."""
    known = seen.instance.queues if seen.instance else ()
    for condition in seen.status.conditions if seen.status else ():
        if condition.type != QUARANTINED or condition.status is not True:
            continue
        # Names and reasons may hold any of these signs: only a name of the
        # instance's own queues begins another entry, and the longest is it.
        names = "|".join(re.escape(name) for name in sorted(known, key=len, reverse=True))
        parts = re.split(rf"(?:^|; )({names}): ", condition.message)
        reasons = dict(zip(parts[1::2], parts[2::2], strict=True))
        if queue in reasons:
            return reasons[queue]
    return None


def _progress(seen: Seen, generation: int) -> str:
    status = seen.status
    if status is None:
        return "not looked at yet"
    known = {True: "ready", False: "not ready", None: "not known to be ready"}[status.ready]
    age = "" if status.generation >= generation else ", before this change was seen"
    return f"state {status.state or 'unknown'}, {known}{age}"
