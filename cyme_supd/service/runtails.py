"""Following what a run prints, until it has ended: in its log if that is here, else in the store.

The store has its last 64 KiB, some seconds late.
"""

from __future__ import annotations

from cyme_supd.domain.job import Run, RunOutput, RunStatus
from cyme_supd.domain.tail import Lines, Piece, Place, parse_place
from cyme_supd.service.context import Context
from cyme_supd.service.tails import MOST, Said

#: How often the store is asked whether it has ended.
CHECK_S = 1.0
#: In a :class:`Place`, the file that is none: what the store has.
_STORED = 0


class RunTail:
    """For one who follows; by one thread at a time. ``is_over`` when there is no more."""

    def __init__(self, context: Context, run: Run, place: str, size: int) -> None:
        self._context = context
        self._run = run
        self._place = parse_place(place)
        self._size = size
        self._lines = Lines()
        self._check_at = float("-inf")
        self._output: RunOutput | None = None
        self.is_over = False

    @property
    def status(self) -> str:
        return str(self._run.status)

    def more(self) -> Said | None:
        """What has come. Raises ``NotFound`` where the run is forgotten."""
        has_ended = self._check()
        piece = self._read()
        self.is_over = has_ended
        is_end = self._place is None
        if piece.place == self._place and not self.is_over:
            return None
        self._place = piece.place
        lines = self._lines.take(piece)
        if self.is_over and self._lines.place.offset < piece.place.offset:
            # Nobody ends the last line any more.
            after = Place(piece.place.file, piece.place.offset + 1)
            lines += self._lines.take(Piece(b"\n", after))
        return Said(lines, piece.place, is_end) if lines or is_end else None

    def _check(self) -> bool:
        """Whether it has ended; what is read after that is all there will be."""
        now = self._context.clock.monotonic()
        if now >= self._check_at:
            self._check_at = now + CHECK_S
            with self._context.store.reading() as view:
                self._run = view.run(self._run.id)
                self._output = view.run_output(self._run.id)
        return self._run.status not in (RunStatus.QUEUED, RunStatus.RUNNING)

    def _read(self) -> Piece:
        size = self._size if self._place is None else MOST
        logs, run = self._context.run_logs, self._run
        here = logs.read(run.job_id, run.id, self._place, size)
        return here if here is not None else self._stored(size)

    def _stored(self, size: int) -> Piece:
        output = self._output
        if output is None:
            return Piece(b"", self._place or Place())
        first, place = output.size - len(output.tail), self._place
        end = Place(_STORED, output.size)
        if place is None or place.file != _STORED or place.offset > output.size:
            return Piece(output.tail[-size:], end)
        skipped = max(0, first - place.offset)
        return Piece(output.tail[max(0, place.offset - first) :], end, skipped)
