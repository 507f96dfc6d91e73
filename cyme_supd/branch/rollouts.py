"""Sequences rolling restarts: keeps what was seen of each app's workers."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cyme_supd.domain.health import Patience, is_silent, may_be_reconnecting
from cyme_supd.domain.launch import Launch
from cyme_supd.domain.plan import is_answering, is_behind, is_outdated, refused
from cyme_supd.domain.rollout import (
    Member,
    Rollout,
    RolloutState,
    RolloutStatus,
    is_over,
    judge,
    turns,
)
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import Observation, ProcessState

log = logging.getLogger(__name__)

_FAILING = (ProcessState.BACKOFF, ProcessState.FATAL)


@dataclass(frozen=True, slots=True)
class _Seen:
    """``number`` is that of the rolling restart it was seen under."""

    app: str
    number: int
    member: Member


class Rollouts:
    """Whose turn it is. Decides on the whole app at the end of each pass.

    The turn is taken in a later pass of that worker alone; until everybody
    enrolled was seen nobody is due.
    """

    def __init__(self, branch: str) -> None:
        self._branch = branch
        self._rosters: dict[str, set[str]] = {}
        self._rollouts: dict[str, Rollout] = {}
        self._seen: dict[str, _Seen] = {}
        # By name: since when, and in which attempt of which rolling restart.
        self._away_since: dict[str, tuple[float, int, int]] = {}
        # By name: the process that was told to stop, until another is there.
        self._stopping: dict[str, int | None] = {}
        self._statuses: dict[str, RolloutStatus] = {}
        self.due: frozenset[str] = frozenset()
        self.newly_due: frozenset[str] = frozenset()

    def load(self, statuses: Iterable[RolloutStatus]) -> None:
        """Go on from what is stored."""
        self._statuses = {status.app: status for status in statuses}

    def enroll(self, workers: Iterable[Worker]) -> None:
        """All workers of the branch: those that a rolling restart waits for."""
        self._rosters = {}
        for worker in workers:
            if worker.app.rollout is not None and _is_wanted(worker):
                self._rosters.setdefault(worker.app.name, set()).add(worker.name)
        self._rollouts = {app: each for app, each in self._rollouts.items() if app in self._rosters}

    def note(self, worker: Worker, wanted: Launch, seen: Observation, patience: Patience) -> bool:
        """Remember how *worker* is; whether it is its turn to be stopped."""
        rollout = worker.app.rollout
        if rollout is None or not _is_wanted(worker) or seen.care.yields_to is not None:
            self.forget(worker.name)
            return False
        self._rollouts[worker.app.name] = rollout
        self._rosters.setdefault(worker.app.name, set()).add(worker.name)
        member = self._member(worker, wanted, seen, patience)
        self._seen[worker.name] = _Seen(worker.app.name, rollout.number, member)
        return worker.name in self.due and not rollout.is_aborted

    def stopping(self, worker: Worker, seen: Observation) -> None:
        """It is being stopped: of no use from now on, whatever is still seen of it."""
        self._stopping[worker.name] = seen.process.pid if seen.process else None
        known = self._seen[worker.name]
        gone = Member(worker.name, is_behind=True, is_available=False)
        self._seen[worker.name] = _Seen(known.app, known.number, gone)

    def forget(self, name: str) -> None:
        self._seen.pop(name, None)
        self._stopping.pop(name, None)
        self._away_since.pop(name, None)
        for roster in self._rosters.values():
            roster.discard(name)

    def judge(self) -> list[RolloutStatus]:
        """Decide whose turn it is; what there is to store comes back."""
        changed = []
        due: set[str] = set()
        for app, rollout in self._rollouts.items():
            before = self._statuses.get(app)
            # Those that are over cost nothing, however many workers they had.
            members = None if is_over(rollout, before) else self._members(app, rollout)
            if members is None:
                continue
            status = judge(app, self._branch, rollout, members, before)
            due.update(turns(rollout, status, members))
            if status != before:
                self._statuses[app] = status
                changed.append(status)
                _tell(status)
        due -= self._stopping.keys()
        self.newly_due = frozenset(due - self.due)
        self.due = frozenset(due)
        return changed

    def _members(self, app: str, rollout: Rollout) -> Sequence[Member] | None:
        """All of the app, or ``None`` while one was not seen under this rollout."""
        found = [self._seen.get(name) for name in sorted(self._rosters.get(app, ()))]
        members = [seen.member for seen in found if seen and seen.number == rollout.number]
        return members if members and len(members) == len(found) else None

    def _member(
        self, worker: Worker, wanted: Launch, seen: Observation, patience: Patience
    ) -> Member:
        name, process = worker.name, seen.process
        pid = process.pid if process else None
        if name in self._stopping and (pid is None or pid != self._stopping[name]):
            del self._stopping[name]
        is_left = process is not None and is_behind(wanted, process, seen.running)
        is_available = (
            name not in self._stopping
            and _consumes(worker, seen)
            and not is_silent(seen, patience)
            and process is not None
            and not is_outdated(wanted, process, seen.running)
        )
        is_reconnecting = is_left and not is_available and may_be_reconnecting(seen, patience)
        return Member(
            name,
            is_behind=is_left or name in self._stopping,
            is_available=is_available,
            is_known=seen.pulse.is_well is True and not is_reconnecting,
            failure=_failure(seen),
            away_s=self._away_s(worker, is_available or is_left, seen),
        )

    def _away_s(self, worker: Worker, is_back: bool, seen: Observation) -> float:
        name, rollout = worker.name, worker.app.rollout
        is_ending = seen.process is not None and seen.process.state is ProcessState.STOPPING
        if rollout is None or is_back or is_ending or seen.pulse.is_well is not True:
            self._away_since.pop(name, None)
            return 0.0
        attempt = (rollout.number, rollout.attempt)
        since = self._away_since.get(name)
        if since is None or since[1:] != attempt:
            since = self._away_since[name] = (seen.now, *attempt)
        return seen.now - since[0]


def _is_wanted(worker: Worker) -> bool:
    instance = worker.instance
    return instance.is_enabled and not instance.is_deleting and instance.move is None


def _consumes(worker: Worker, seen: Observation) -> bool:
    """Whether it answers and takes from all that it should and may."""
    if not is_answering(seen) or seen.answer is None:
        return False
    wanted = worker.consumes - refused(worker, seen.answer).keys()
    return wanted <= seen.answer.queues.keys()


def _failure(seen: Observation) -> str:
    if seen.process is None or seen.process.state not in _FAILING:
        return ""
    return seen.process.spawn_error or "it ends soon after its start"


def _tell(status: RolloutStatus) -> None:
    progress = f"{len(status.restarted)} restarted, {len(status.left)} left"
    if status.state is RolloutState.STOPPED:
        log.warning(
            "%s: rolling restart stopped at %s: %s (%s)",
            status.app,
            status.stopped_at,
            status.reason,
            progress,
        )
    else:
        log.info("%s: rolling restart %s (%s)", status.app, status.state, progress)
