"""What is remembered of each worker, so that it is known what it needs.

The rules are in the domain; here is only the memory that they are given.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from cyme_supd.clock import Clock
from cyme_supd.domain import restarts
from cyme_supd.domain.broker_ports import Backlogs
from cyme_supd.domain.healing import HUNG_ASKS, START_S, Signs, diagnose
from cyme_supd.domain.progress import followed, stuck, watched
from cyme_supd.domain.restarts import Record
from cyme_supd.domain.spec import Instance, Worker
from cyme_supd.domain.status import Ailment, Backlog, Care, Observation, Status

#: A question younger than this is not unanswered yet.
ANSWER_WITHIN_S = 1.0


class NoBacklogs:
    """:class:`cyme_supd.domain.ports.Backlogs` where no broker tells."""

    def watch(self, queues: Iterable[tuple[str, str]]) -> None: ...

    def backlog(self, broker: str, queue: str) -> Backlog | None:
        return None


@dataclass(slots=True)
class _Round:
    """What one full pass finds at a broker: how many should answer, and do not."""

    asked: int = 0
    silent: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """``interval_s`` lies between two questions; ``reconnect_s`` is what workers
    have when their broker is back; ``settled_s`` what one has to be up for
    not to have ended soon, and what lies between two restarts of ours."""

    interval_s: float
    reconnect_s: float
    settled_s: float = 60.0


@dataclass(slots=True)
class Attendant:
    """Follows every worker of a branch; used by the reconciler's thread alone.

    ``is_stopped(pid)`` is the kernel's word on a process, asked only about
    one that is silent; ``yields_to`` the branch that runs an older instance of
    that name. *chance* gives numbers within 0 and 1.
    """

    clock: Clock
    rule: Rule
    backlogs: Backlogs = field(default_factory=NoBacklogs)
    is_stopped: Callable[[int], bool] = lambda _pid: False
    chance: Callable[[], float] = random.random
    yields_to: Callable[[Instance], str | None] = lambda _instance: None
    _records: dict[str, Record] = field(default_factory=dict)
    _asks: deque[float] = field(default_factory=lambda: deque(maxlen=4 * HUNG_ASKS))
    _rounds: dict[str, _Round] = field(default_factory=dict)
    _suspects: set[str] = field(default_factory=set)
    _starting: int = 0
    _has_begun: int = 0
    _watched: set[tuple[str, str]] = field(default_factory=set)

    def begin(self) -> None:
        """A full pass begins, with a question to everybody."""
        self._asks.append(self.clock.monotonic())
        self._rounds.clear()
        self._has_begun = 0
        self._watched.clear()

    def end(self) -> None:
        """It has looked at all of them."""
        self._suspects = {
            broker
            for broker, seen in self._rounds.items()
            if seen.asked > 1 and seen.silent == seen.asked
        }
        self._starting = self._has_begun
        self.backlogs.watch(self._watched)

    def attend(self, worker: Worker, seen: Observation, before: Status | None) -> Observation:
        """*seen*, with what the worker needs."""
        record = self._followed(worker, seen, before)
        signs = self._signs(worker, seen, record)
        ailment = None
        if worker.instance.is_enabled and not _is_going(worker):
            ailment = diagnose(worker, seen, signs, self.rule.reconnect_s)
        self._note(worker, seen, record, signs)
        record = restarts.treat(record, seen, ailment, self.rule.settled_s)
        self._records[worker.name] = record
        return replace(seen, care=self._care(worker, record, seen, ailment, signs))

    def look_again_s(self, name: str, seen: Observation) -> float | None:
        """When something is due that no event announces, if so."""
        record = self._records.get(name)
        if record is None:
            return None
        if record.retry_at is not None:
            return max(0.0, record.retry_at - seen.now)
        ailing = record.ailing
        if ailing is None or ailing.kill_after_s is None or record.ended_at is None:
            return None
        return max(0.0, record.ended_at + ailing.kill_after_s - seen.now)

    def forget(self, name: str) -> None:
        self._records.pop(name, None)

    def _care(
        self,
        worker: Worker,
        record: Record,
        seen: Observation,
        ailment: Ailment | None,
        signs: Signs,
    ) -> Care:
        if _is_going(worker):
            return Care()
        found = Care()
        if worker.instance.is_enabled:
            found = restarts.care(record, seen, ailment, signs.stuck)
        return replace(found, yields_to=self.yields_to(worker.instance))

    def _followed(self, worker: Worker, seen: Observation, before: Status | None) -> Record:
        record = self._records.get(worker.name)
        generation = worker.instance.generation
        if record is None:
            known = before.conditions if before and before.generation == generation else ()
            record = restarts.restored(generation, known, seen, worker.hung_timeout_s)
        record = restarts.follow(
            record, generation, seen, self.rule.settled_s, self.clock.now(), self.chance()
        )
        if seen.is_answering and seen.answer is not None:
            record = replace(record, trail=followed(record.trail, seen.answer, seen.now))
        return record

    def _signs(self, worker: Worker, seen: Observation, record: Record) -> Signs:
        unanswered = self._unanswered(seen)
        pid = seen.process.pid if seen.process else None
        has_to_ask = pid is not None and (unanswered > 1 or seen.answer is None)
        return Signs(
            unanswered=unanswered,
            is_stopped=has_to_ask and pid is not None and self.is_stopped(pid),
            are_all_silent=worker.broker in self._suspects,
            starting=self._starting,
            up_since=record.up_since,
            stuck=self._stuck(worker, seen, record),
        )

    def _unanswered(self, seen: Observation) -> int:
        if not seen.is_answering or seen.answer is None:
            return 0
        asked, latest = seen.answer.at, seen.now - ANSWER_WITHIN_S
        return sum(asked < at <= latest for at in self._asks)

    def _stuck(self, worker: Worker, seen: Observation, record: Record) -> str | None:
        if not seen.is_answering or record.trail is None:
            return None
        trail, interval_s = record.trail, self.rule.interval_s
        found: Mapping[str, Backlog] = {
            name: backlog
            for name in watched(worker, trail, seen.now, interval_s)
            if (backlog := self.backlogs.backlog(worker.broker, name)) is not None
        }
        return stuck(trail, found, interval_s)

    def _note(self, worker: Worker, seen: Observation, record: Record, signs: Signs) -> None:
        """For what concerns a whole broker."""
        if seen.process is None or not seen.process.state.is_up or signs.is_stopped:
            return
        if not seen.is_answering and seen.now - record.up_since < START_S:
            self._has_begun += 1
            return
        here = self._rounds.setdefault(worker.broker, _Round())
        here.asked += 1
        here.silent += not seen.is_answering or signs.unanswered > 1
        if seen.is_answering and record.trail is not None and not signs.unanswered:
            names = watched(worker, record.trail, seen.now, self.rule.interval_s)
            self._watched.update((worker.broker, name) for name in names)


def _is_going(worker: Worker) -> bool:
    """Deleted, or to another branch: nothing is done for it here any more."""
    return worker.instance.is_deleting or worker.instance.move is not None
