"""The end of a log, and what comes after it, line by line. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: A longer line comes in pieces.
LONGEST = 16 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """How far somebody has read: in which file, and how many bytes of that."""

    file: int = 0
    offset: int = 0

    def __str__(self) -> str:
        return f"{self.file}-{self.offset}"


def parse_place(text: str) -> Place | None:
    """``None`` for what is none."""
    found = re.fullmatch(r"([0-9]{1,20})-([0-9]{1,18})", text, re.ASCII)
    return None if found is None else Place(int(found[1]), int(found[2]))


@dataclass(frozen=True, slots=True)
class Piece:
    """*data* that ends at *place*; *skipped* bytes before it nobody is told."""

    data: bytes
    place: Place
    skipped: int = 0


class Lines:
    """Makes lines of pieces; the end of one that is not whole is kept for the next."""

    def __init__(self) -> None:
        self._rest = b""
        self._end = Place()
        self.place = Place()

    def take(self, piece: Piece) -> list[str]:
        """The lines that are whole by now; ``place`` is then the end of the last."""
        data, begins_at = piece.data, piece.place.offset - len(piece.data)
        lines = []
        if self._rest and (piece.place.file, begins_at) != (self._end.file, self._end.offset):
            # What it began does not go on here.
            lines, self._rest = [self._rest], b""
        self._end = piece.place
        if piece.skipped:
            lines.append(b"... %d bytes are left out here" % piece.skipped)
            data = data.partition(b"\n")[2]
        *whole, self._rest = (self._rest + data).split(b"\n")
        while len(self._rest) > LONGEST:
            whole.append(self._rest[:LONGEST])
            self._rest = self._rest[LONGEST:]
        self.place = Place(piece.place.file, piece.place.offset - len(self._rest))
        return [text for line in (*lines, *whole) for text in _texts(line)]


def _texts(line: bytes) -> list[str]:
    """In pieces that are not too long; a carriage return ends one, too."""
    plain = line.removesuffix(b"\r")
    parts = [plain[at : at + LONGEST] for at in range(0, len(plain), LONGEST)] or [b""]
    return [text for part in parts for text in part.decode("utf-8", "replace").split("\r")]
