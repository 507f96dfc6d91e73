"""Claims on names of instances, for branches that have a store each. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

#: A claim that is older was left by somebody who was killed.
LASTS = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Claim:
    """*branch* is about to make an instance called *name*.

    It notes that before it asks the others, so of two that claim a name at
    once one hears of the other. ``draw``, hexadecimal, is by chance;
    ``is_lost`` says that the name was given to another claim.
    """

    name: str
    branch: str
    draw: str
    claimed_at: datetime
    is_lost: bool = False

    def is_over(self, now: datetime) -> bool:
        return not timedelta(0) <= now - self.claimed_at <= LASTS

    def stands_against(self, branch: str, draw: str) -> bool:
        """Whether it has the name, of two that claim it at once."""
        return not self.is_lost and (self.draw, self.branch) < (draw, branch)
