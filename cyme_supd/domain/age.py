"""How long the message that waits longest has waited, at the least. Pure.

Brokers do not tell, and Celery's messages do not say when they were sent. What
says so is a time in the message, where it has one; a message that is seen to be
next is there as long as it is seen to be that; and nobody takes anything from a
queue without consumers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from cyme_supd.domain.progress import risen
from cyme_supd.domain.status import Backlog

#: The sign of a queue without consumers.
ALONE = "alone"


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of a queue.

    ``signs`` are of what is next: as long as one of them stays, so has a
    message. ``sent_at`` is what the messages that are next say, in epoch seconds.
    """

    messages: int
    signs: frozenset[str] = frozenset()
    sent_at: float | None = None


def looked(before: Backlog | None, look: Look, now: float, wall: float) -> Backlog:
    """What is known after a look; *now* is monotonic, *wall* in epoch seconds."""
    known = dict(before.signs) if before is not None else {}
    if before is not None and look.messages < before.messages:
        # Somebody has consumed and gone between two looks.
        known.pop(ALONE, None)
    signs = {sign: known.get(sign, now) for sign in look.signs} if look.messages else {}
    since = list(signs.values())
    if look.messages and look.sent_at is not None:
        # Whose clock is ahead of ours has sent nothing in the future.
        since.append(now - max(0.0, wall - look.sent_at))
    return replace(
        risen(before, look.messages, now), signs=signs, oldest_at=min(since, default=None)
    )


def age_s(backlog: Backlog | None, now: float) -> float | None:
    """At least so long; ``None`` where nobody can tell."""
    if backlog is None:
        return None
    if not backlog.messages:
        return 0.0
    return None if backlog.oldest_at is None else max(0.0, now - backlog.oldest_at)


def sent_at(messages: Iterable[Any]) -> float | None:
    """The earliest time that one of kombu's messages says, in epoch seconds."""
    found = [at for each in messages if (at := _sent_at(each)) is not None]
    return min(found, default=None)


def _sent_at(message: Any) -> float | None:
    properties, headers = (
        _mapping(_mapping(message).get(key)) for key in ("properties", "headers")
    )
    stamp = properties.get("timestamp")
    if isinstance(stamp, int | float) and not isinstance(stamp, bool) and stamp > 0:
        return float(stamp)
    return _made_at(headers.get("id"))


def _made_at(id: Any) -> float | None:
    """When a UUID was made, where it is of the kind that says so, as those of Cyme's tasks are."""
    try:
        made = UUID(id) if isinstance(id, str) else None
    except ValueError:
        return None
    return (made.int >> 80) / 1000 if made is not None and made.version == 7 else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
