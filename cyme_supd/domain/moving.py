"""Instances that move from a branch that drains to another. Pure.

One at a time, and in steps that are each stored: the worker is stopped, its
program taken away, and only then is the instance handed over. Until it is,
whoever had it has it still; from then on its target answers whether it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from cyme_supd.errors import Conflict

if TYPE_CHECKING:
    from cyme_supd.domain.spec import Instance

#: Instances that did not go, and why, which are told of.
MOST_FAILED = 20
MAX_WORDS = 300


class Step(StrEnum):
    #: The worker ends warmly.
    STOPPING = "stopping"
    #: It is gone from here, with its program.
    RELEASED = "released"
    #: The target is being told to take it, and may have done so.
    HANDING = "handing"


@dataclass(frozen=True, slots=True)
class Move:
    """Of an instance that is to go to the branch ``to``.

    ``token`` is one for every attempt: a target that has decided on it once
    says the same ever after.
    """

    to: str
    token: str
    step: Step = Step.STOPPING

    def as_dict(self) -> dict[str, Any]:
        return {"to": self.to, "token": self.token, "step": str(self.step)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Move:
        return cls(stored["to"], stored["token"], Step(stored["step"]))


@dataclass(frozen=True, slots=True)
class Moving:
    """How far a branch is that moves its instances away.

    One that not ``is_on`` finishes what has begun. ``now`` is the instance
    that moves to the branch ``to``, ``has_left`` that it is there and waited
    for; ``was_ready``, that it can be waited for. ``failed`` says of instances
    why nobody took them, ``reason`` why it does not go on.
    """

    is_on: bool = True
    now: str | None = None
    to: str | None = None
    was_ready: bool = False
    has_left: bool = False
    failed: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Moving:
        return cls(**stored)

    def asked_again(self) -> Moving:
        """Nobody is waited for who is elsewhere by now, and those that failed are tried."""
        again = self.without_now() if self.has_left else self
        return replace(again, is_on=True, failed={}, reason="")

    def beginning(self, name: str, to: str, was_ready: bool) -> Moving:
        begun = replace(self.without_failed(name), now=name, to=to, was_ready=was_ready)
        return replace(begun, has_left=False, reason="")

    def without_now(self) -> Moving:
        return replace(self, now=None, to=None, was_ready=False, has_left=False, reason="")

    def without_failed(self, name: str) -> Moving:
        left = {each: why for each, why in self.failed.items() if each != name}
        return replace(self, failed=left)

    def with_failed(self, name: str, why: str) -> Moving:
        failed = {**self.without_failed(name).failed, name: why[:MAX_WORDS]}
        last = list(failed.items())[-MOST_FAILED:]
        return replace(self, failed=dict(last))

    def waiting_for(self, reason: str) -> Moving:
        return replace(self, reason=reason[:MAX_WORDS])


def progress(moving: Moving | None, instances: int) -> dict[str, Any] | None:
    """What is told of it, by a branch that has so many *instances*; ``None`` where none moves."""
    if moving is None:
        return None
    return {
        "left": instances,
        "now": moving.now,
        "to": moving.to,
        "failed": dict(moving.failed),
        "reason": moving.reason or None,
    }


def is_handed(move: Move | None) -> bool:
    """Whether another branch may have the instance already."""
    return move is not None and move.step is Step.HANDING


def is_released(instance: Instance) -> bool:
    """Whether nothing of it is here any more, and nobody wants that to be forgotten."""
    is_stopping = instance.move is None or instance.move.step is Step.STOPPING
    return not is_stopping and not instance.is_deleting


def check_edit(stored: Instance, edited: Instance) -> None:
    """Raise ``Conflict`` for an edit that another branch may not get to see.

    A deletion by force may be made: of what is elsewhere by then nothing is deleted.
    """
    is_forgotten = edited.is_deleting and edited.is_forced
    if stored.move is None or not is_handed(stored.move) or is_forgotten:
        return
    if edited.move == stored.move:
        raise Conflict(
            f"{stored.name} is being handed over to branch {stored.move.to!r}",
            "ask again in a moment",
        )
