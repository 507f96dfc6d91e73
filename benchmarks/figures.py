"""Figures beside their peers', and what a bench prints of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

#: Fewer than this many pairs prove nothing.
ENOUGH_PAIRS = 10


@dataclass(frozen=True, slots=True)
class _Row:
    label: str
    samples: tuple[float, ...]
    verdict: str = ""


@dataclass(slots=True)
class Table:
    """One figure of ours, its peers and its limits; all values in *unit*.

    Rows are compared with the one that :meth:`ours` set, median with median.
    """

    title: str
    unit: str = "s"
    digits: int = 3
    #: Rates: targets are what ours must reach, not what it may take.
    more_is_better: bool = False
    _ours: tuple[float, ...] = ()
    _rows: list[_Row] = field(default_factory=list)

    def ours(self, label: str, samples: Sequence[float]) -> None:
        self._ours = tuple(samples)
        self._rows.append(_Row(label, self._ours))

    def peer(self, label: str, samples: Sequence[float], target: float | None = None) -> None:
        """What ours may take at most *target* times of; ``None`` only compares."""
        ratio = median(self._ours) / median(samples)
        verdict = f"{ratio:.2f}x"
        if target is not None:
            is_held = ratio >= target if self.more_is_better else ratio <= target
            verdict += f"  target {target:.2f}x  {_passes(is_held)}"
        self._rows.append(_Row(label, tuple(samples), verdict))

    def part(self, label: str, samples: Sequence[float]) -> None:
        """What ours is made of; compared with nothing."""
        self._rows.append(_Row(label, tuple(samples)))

    def limit(self, label: str, most: float) -> None:
        """What the median of ours must not exceed."""
        is_held = median(self._ours) <= most
        self._rows.append(_Row(label, (most,), _passes(is_held)))

    def print(self) -> None:
        """On standard output, at once."""
        pairs = len(self._ours)
        doubt = "" if pairs >= ENOUGH_PAIRS else f", fewer than {ENOUGH_PAIRS}: provisional"
        width = max(len(row.label) for row in self._rows)
        head = f"{'':{width}}  {'min':>9} {'median':>9} {'max':>9} {self.unit:<3} ours/this"
        lines = [f"{self.title} ({pairs} pairs{doubt})", head]
        lines += [self._line(row, width) for row in self._rows]
        print("\n".join(lines), end="\n\n", flush=True)

    def _line(self, row: _Row, width: int) -> str:
        values = (min(row.samples), median(row.samples), max(row.samples))
        if len(row.samples) == 1:
            cells = f"{'':9} {self._number(values[1])} {'':9}"
        else:
            cells = " ".join(map(self._number, values))
        return f"{row.label:{width}}  {cells} {self.unit:<3} {row.verdict}".rstrip()

    def _number(self, value: float) -> str:
        return f"{value:9.{self.digits}f}"


def _passes(is_held: bool) -> str:
    return "pass" if is_held else "SHORT"
