"""A rolling restart: whose turn it is, and where it stops. Pure.

The wish is stored with the app: a number that every worker's launch carries
from then on. Whoever runs with a lower one is behind; one that died and came
back has caught up by itself. The rest follows from what is seen, so a branch
that begins in the middle goes on where the last one was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

#: How long a worker that was restarted may take until it consumes again.
RETURN_S = 60.0
#: How long one that fails may go on trying before the rest is left alone.
FAILING_S = 5.0


@dataclass(frozen=True, slots=True)
class Rollout:
    """The last rolling restart that was asked for of an app.

    ``attempt`` grows whenever one that stopped is to go on.
    """

    number: int
    max_unavailable: int
    created_at: datetime
    is_aborted: bool = False
    attempt: int = 1

    def as_dict(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "max_unavailable": self.max_unavailable,
            "created_at": self.created_at.isoformat(),
            "is_aborted": self.is_aborted,
            "attempt": self.attempt,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Rollout:
        return cls(**{**stored, "created_at": datetime.fromisoformat(stored["created_at"])})


class RolloutState(StrEnum):
    RUNNING = "running"
    STOPPED = "stopped"
    ABORTED = "aborted"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class RolloutStatus:
    """How far a rolling restart got on one branch.

    ``stopped_at`` is the instance that does not consume again, ``reason``
    why; ``left`` are those still to be restarted.
    """

    app: str
    branch: str
    number: int
    attempt: int
    state: RolloutState
    restarted: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    stopped_at: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """One enabled instance of the app, as it was last seen.

    ``is_known`` is false while its broker is silent; ``failure`` says why a
    restarted one does not come up; ``away_s`` is how long it has been
    without consuming since its new process began.
    """

    name: str
    is_behind: bool
    is_available: bool
    is_known: bool = True
    failure: str = ""
    away_s: float = 0.0


def judge(
    app: str,
    branch: str,
    rollout: Rollout,
    members: Sequence[Member],
    before: RolloutStatus | None,
) -> RolloutStatus:
    """How far *rollout* is. One that has ended or stopped stays so.

    Only a resumed attempt makes it go on from where it stopped.
    """
    if before is not None and is_over(rollout, before):
        return before
    failed = _failed(members, rollout, before)
    left = tuple(member.name for member in members if member.is_behind)
    state = _state(rollout, members, failed)
    return RolloutStatus(
        app,
        branch,
        rollout.number,
        rollout.attempt,
        state,
        restarted=tuple(member.name for member in members if not member.is_behind),
        left=left,
        stopped_at=failed[0] if failed else None,
        reason=failed[1] if failed else "",
    )


def is_over(rollout: Rollout, status: RolloutStatus | None) -> bool:
    """Whether nothing more comes of *rollout*, as far as is stored."""
    if status is None or not _is_same(rollout, status):
        return False
    is_aborted = rollout.is_aborted and status.state is RolloutState.ABORTED
    return is_aborted or status.state is RolloutState.DONE


def turns(rollout: Rollout, status: RolloutStatus, members: Sequence[Member]) -> tuple[str, ...]:
    """Names of those to be stopped now.

    Those that are of no use as they are come first, and cost nothing.
    """
    if status.state is not RolloutState.RUNNING:
        return ()
    if not all(member.is_known for member in members):
        # Nobody could tell whether the next one comes back.
        return ()
    idle = [each.name for each in members if each.is_behind and not each.is_available]
    room = rollout.max_unavailable - sum(not member.is_available for member in members)
    ready = [each.name for each in members if each.is_behind and each.is_available]
    return (*idle[: rollout.max_unavailable], *ready[: max(0, room)])


def numbered(identity: str, rollout: Rollout | None) -> str:
    """*identity* with the number of the rolling restart, which is no part of it."""
    return f"{identity}.{rollout.number}" if rollout else identity


def base(identity: str) -> str:
    return identity.partition(".")[0]


def number_of(identity: str) -> int:
    number = identity.partition(".")[2]
    return int(number) if number.isdecimal() else 0


def _state(
    rollout: Rollout, members: Sequence[Member], failed: tuple[str, str] | None
) -> RolloutState:
    is_done = all(member.is_available and not member.is_behind for member in members)
    if is_done:
        return RolloutState.DONE
    if rollout.is_aborted:
        return RolloutState.ABORTED
    return RolloutState.STOPPED if failed else RolloutState.RUNNING


def _failed(
    members: Sequence[Member], rollout: Rollout, before: RolloutStatus | None
) -> tuple[str, str] | None:
    if before is not None and _is_same(rollout, before) and before.stopped_at:
        return before.stopped_at, before.reason
    for member in members:
        if member.is_behind or member.is_available or not member.is_known:
            continue
        if member.failure and member.away_s >= FAILING_S:
            return member.name, member.failure
        if member.away_s > RETURN_S:
            return member.name, f"it does not consume again after {RETURN_S:g} s"
    return None


def _is_same(rollout: Rollout, status: RolloutStatus) -> bool:
    return (rollout.number, rollout.attempt) == (status.number, status.attempt)
