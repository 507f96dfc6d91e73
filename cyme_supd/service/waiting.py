"""Waiting for what was asked to be observed."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from cyme_supd.clock import Clock
from cyme_supd.domain.doubles import CONFLICT
from cyme_supd.domain.health import NAME_TAKEN, QUARANTINED
from cyme_supd.domain.ports import Logs, Store, View
from cyme_supd.domain.status import Branch
from cyme_supd.errors import Conflict, NotFound, SpawnFailed, Timeout, Unavailable
from cyme_supd.service.goals import Goal, Seen
from cyme_supd.service.looking import branch_or_none
from cyme_supd.service.observed import STALE_AFTER, ThisBranch, is_fresh, why_down

POLL_S = 0.02
#: A failed start must last this long: right after an edit the state that is
#: stored may still be the one the edit is there to end.
FAILING_S = 0.3
LOG_TAIL = 4096
LOG_LINES = 20


class NameTaken(Conflict):
    """The host has a program of that name which is not Cyme's."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far a change got: observed, or stored only, for ``reason``."""

    is_converged: bool
    reason: str = ""


STORED = Outcome(False)
CONVERGED = Outcome(True)
CROWDED = Outcome(False, "too many requests are waiting already; it is stored and goes on")
_NO_STREAM = Unavailable(
    "too many streams are open already", "ask now and then until there is room"
)


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
        # Somebody who waits for a worker gets a thread however many pages are open.
        self._streams = threading.BoundedSemaphore(limit - limit // 4)
        self._begun_at = clock.now()
        self.is_stopping = False

    def stop(self) -> None:
        # A plain flag: this runs in a signal's handler, where a lock may
        # already be held by the code that was interrupted.
        self.is_stopping = True

    def may_be_starting(self, branch: Branch | None) -> bool:
        """Whether *branch* may be about to look for the first time: so young is its web."""
        now = self._clock.now()
        age_s = (now - self._begun_at).total_seconds()
        return age_s <= STALE_AFTER * self._here.sup_interval and not is_fresh(branch, now)

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

    def hold(self) -> Callable[[], None]:
        """Have a thread for a stream; what comes back, called once, gives it back.

        Raises ``Unavailable`` where there is none left.
        """
        self.check_stopping()
        if not self._streams.acquire(blocking=False):
            raise _NO_STREAM
        if not self._slots.acquire(blocking=False):
            self._streams.release()
            raise _NO_STREAM

        def give_back() -> None:
            self._slots.release()
            self._streams.release()

        return give_back


class _Wait:
    def __init__(self, waits: Waits, goals: Sequence[Goal], timeout_s: float) -> None:
        self._waits = waits
        self._store = waits._store
        self._clock = waits._clock
        self._goals = goals
        self._timeout_s = timeout_s
        self._failing_since: dict[str, float] = {}
        self._seen: dict[str, Seen] = {}
        self._branches: dict[str, Branch | None] = {}

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
            ids = {self._branch_of(goal) for goal in self._goals}
            self._branches = {id: branch_or_none(view, id) for id in ids}

    def _branch_of(self, goal: Goal) -> str:
        """With one store for all it need not be this one."""
        instance = self._seen[goal.name].instance
        return instance.branch if instance else self._waits._here.id

    def _judge(self) -> Outcome | None:
        open_goals = [goal for goal in self._goals if not goal.holds(self._seen[goal.name])]
        if not open_goals:
            return CONVERGED
        for goal in open_goals:
            self._check_gone(goal)
            self._check_taken(goal)
            self._check_quarantined(goal)
            self._check_failing(goal)
        reason = self._why_down(open_goals)
        return Outcome(False, reason) if reason else None

    def _why_down(self, goals: Sequence[Goal]) -> str:
        keys: dict[str, set[str]] = {}
        for goal in goals:
            keys.setdefault(self._branch_of(goal), set()).add(goal.broker)
        now = self._clock.now()
        reasons = (
            why_down(branch, keys[id], now)
            for id in keys
            if not self._waits.may_be_starting(branch := self._branches[id])
        )
        return next((reason for reason in reasons if reason), "")

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
            if condition.type == CONFLICT:
                raise Conflict(f"{goal.name} does not run here: {condition.message}")

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
