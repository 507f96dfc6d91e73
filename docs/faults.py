"""The fault suite's results as the table in ``faults.rst``: ``python -m docs.faults``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PATH = HERE / "faults.rst"
RESULTS = HERE.parent / "build" / "faults"
BEGIN, END = ".. the table begins", ".. the table ends"
HEAD = ("fault", "broker", "runs", "p50", "p99", "max", "limit", "violations", "lost", "again")


def main() -> None:
    rows = [json.loads(path.read_text()) for path in RESULTS.glob("*.json")]
    if not rows:
        raise SystemExit(f"nothing in {RESULTS}: make faults")
    PATH.write_text(placed(PATH.read_text(), rows))


def placed(page: str, rows: Iterable[dict[str, Any]]) -> str:
    """*page* with *rows* in the table between its two marks.

    What was not run again stays as it was; what was never run before comes last.
    """
    before, _, rest = page.partition(BEGIN)
    old, _, after = rest.partition(END)
    if not after:
        raise LookupError(f"no {BEGIN!r} and {END!r} in the page")
    ordered = sorted(rows, key=lambda row: (row["order"], row["fault"], row["broker"]))
    lines = list(_old_cells(old))
    for row in ordered:
        if row["seconds"]:
            _place(_cells(row), lines)
    heads = tuple(_head(row["fault"], row["broker"]) for row in ordered)
    notes = [each for each in old.splitlines() if each[:2] == "- " and not each.startswith(heads)]
    notes += [_note(row) for row in ordered if row["note"]]
    told = "".join(f"{line}\n" for line in [*notes, *([""] if notes else [])])
    return f"{before}{BEGIN}\n\n{_table(lines)}\n{told}{END}{after}"


def _place(cells: tuple[str, ...], lines: list[tuple[str, ...]]) -> None:
    """In the line that it had, or behind the same fault on another broker, or last."""
    for number, line in enumerate(lines):
        if line[:2] == cells[:2]:
            lines[number] = cells
            return
    same = [number for number, line in enumerate(lines) if line[0] == cells[0]]
    lines.insert(same[-1] + 1 if same else len(lines), cells)


def _old_cells(table: str) -> Iterator[tuple[str, ...]]:
    """The lines of a table that is there, in cells as wide as its rules say."""
    lines = table.splitlines()
    rules = [number for number, line in enumerate(lines) if line.startswith("==")]
    if len(rules) != 3:
        return
    columns = [found.span() for found in re.finditer("=+", lines[rules[0]])]
    for line in lines[rules[1] + 1 : rules[2]]:
        yield tuple(line[begin:end].strip() for begin, end in columns)


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    cells = [HEAD, *rows]
    widths = [max(len(line[index]) for line in cells) for index in range(len(HEAD))]
    rule = "  ".join("=" * width for width in widths)
    lines = [_line(line, widths) for line in cells]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule, ""])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    pairs = zip(cells, widths, strict=True)
    return "  ".join(cell.ljust(width) for cell, width in pairs).rstrip()


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    seconds = sorted(row["seconds"]) or [0.0]
    # An empty cell in the first column would join it to the line before.
    return (
        row["fault"],
        row["broker"] or "\\-",
        str(len(row["seconds"])),
        *(f"{_part(seconds, share):.1f}" for share in (0.5, 0.99, 1.0)),
        f"{row['limit_s']:g}",
        str(len(row["violations"])),
        *("\\-" if row[key] is None else str(row[key]) for key in ("lost", "again")),
    )


def _part(values: Sequence[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))]


def _note(row: dict[str, Any]) -> str:
    return f"{_head(row['fault'], row['broker'])}{row['note']}"


def _head(fault: str, broker: str) -> str:
    return f"- {fault}, {broker}: " if broker else f"- {fault}: "


if __name__ == "__main__":
    main()
