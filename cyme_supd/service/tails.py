"""Following the log of an instance, on the host that has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cyme_supd.domain.tail import Lines, Place, parse_place
from cyme_supd.errors import NotFound
from cyme_supd.service.context import Context

#: What is read at once; where there is more, that is left out.
MOST = 256 * 1024
#: How often it is looked whether there is still such an instance.
CHECK_S = 2.0


@dataclass(frozen=True, slots=True)
class Said:
    """*lines* up to *place*; with *is_end* they are the end of the log, else they go on."""

    lines: Sequence[str]
    place: Place
    is_end: bool = False


class Tail:
    """For one who follows; by one thread at a time."""

    def __init__(self, context: Context, app: str, name: str, place: str, size: int) -> None:
        self._context = context
        self._app, self._name = app, name
        self._place = parse_place(place)
        self._size = size
        self._lines = Lines()
        self._check_at = float("-inf")

    def more(self) -> Said | None:
        """What has come. Raises ``NotFound`` where the instance is gone."""
        self._check()
        is_end = self._place is None
        size = self._size if is_end else MOST
        piece = self._context.logs.read(self._name, self._place, size)
        is_same = piece.place == self._place
        self._place = piece.place
        if is_same:
            return None
        lines = self._lines.take(piece)
        return Said(lines, self._lines.place, is_end) if lines or is_end else None

    def _check(self) -> None:
        now = self._context.clock.monotonic()
        if now < self._check_at:
            return
        self._check_at = now + CHECK_S
        with self._context.store.reading() as view:
            if view.instance(self._name).app != self._app:
                raise NotFound(f"app {self._app!r} has no instance {self._name!r}")


class Tails:
    def __init__(self, context: Context) -> None:
        self._context = context

    def follow(self, app: str, name: str, place: str, size: int) -> Tail:
        """From *place* on, or from the last *size* bytes where that is none."""
        return Tail(self._context, app, name, place, size)

    def url_here(self) -> str:
        """Where the branch that has its logs here is asked."""
        peer = self._context.presence.peers().get(self._context.here.id)
        return peer.heartbeat.url if peer else ""
