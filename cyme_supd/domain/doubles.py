"""Names that more than one branch has an instance of, and who runs it. Pure.

The older one does, of equally old ones that of the smaller branch id. Each
branch finds that by itself, from the same two moments.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from cyme_supd.domain.status import Condition

#: The condition of one that does not run for that, and its reason.
CONFLICT = "Conflict"
OLDER_ELSEWHERE = "OlderElsewhere"
#: Of one of which is known only that it is older.
LONG_AGO = datetime.min.replace(tzinfo=UTC)

_MESSAGE = "branch '{}' has an older instance of this name: delete one of the two"
_TOLD = re.compile(re.escape(_MESSAGE).replace(re.escape("{}"), "([^']+)"))

#: When each was created, by the names of instances.
Born = Mapping[str, datetime]


def yields_to(name: str, born: datetime, here: str, elsewhere: Mapping[str, Born]) -> str | None:
    """The branch whose instance runs in place of the one *here*; *elsewhere* is by branch."""
    others = [(there[name], branch) for branch, there in elsewhere.items() if name in there]
    oldest = min(others, default=None)
    return oldest[1] if oldest is not None and oldest < (born, here) else None


def why(branch: str) -> str:
    """What is said of one that yields to that branch."""
    return _MESSAGE.format(branch)


def told(conditions: Iterable[Condition]) -> str | None:
    """The branch that one yields to, by what was said of it."""
    for condition in conditions:
        if condition.type == CONFLICT and (match := _TOLD.fullmatch(condition.message)):
            return match[1]
    return None


def to_wire(born: Born) -> dict[str, str]:
    return {name: at.isoformat() for name, at in born.items()}


def from_wire(said: object) -> dict[str, datetime]:
    """What can be read of it."""
    if not isinstance(said, Mapping):
        return {}
    read = {str(name): _instant(value) for name, value in said.items()}
    return {name: at for name, at in read.items() if at is not None}


def _instant(value: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return None if at.tzinfo is None else at
