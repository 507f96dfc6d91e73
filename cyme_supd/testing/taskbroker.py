"""A broker of tasks that are tracked, in memory."""

from __future__ import annotations

from collections.abc import Sequence

from cyme_supd.domain.taskagain import Again
from cyme_supd.domain.tracking import Place
from cyme_supd.errors import Unavailable


class MemoryTaskBroker:
    """Has what was sent, and who was revoked. ``takes`` so many more; ``None`` is: all."""

    def __init__(self) -> None:
        self.takes: int | None = None
        self.sent: list[Again] = []
        self.revoked: list[tuple[str, bool]] = []

    def send_again(self, place: Place, letters: Sequence[Again]) -> int:
        taken = letters if self.takes is None else letters[: self.takes]
        if letters and not taken:
            raise Unavailable("the broker is not to be had", "ask again")
        if self.takes is not None:
            self.takes -= len(taken)
        self.sent += taken
        return len(taken)

    def revoke(self, place: Place, id: str, terminate: bool) -> None:
        if self.takes == 0:
            raise Unavailable("the broker is not to be had", "ask again")
        self.revoked.append((id, terminate))
