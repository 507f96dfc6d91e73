"""The fault suite's results as the table in ``faults.rst``: ``python -m docs.faults``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
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
    """*page* with the table of *rows* between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        raise LookupError(f"no {BEGIN!r} and {END!r} in the page")
    ordered = sorted(rows, key=lambda row: (row["order"], row["fault"], row["broker"]))
    return f"{before}{BEGIN}\n\n{_table(ordered)}\n{_notes(ordered)}{END}{after}"


def _table(rows: Iterable[dict[str, Any]]) -> str:
    cells = [HEAD, *(_cells(row) for row in rows if row["seconds"])]
    widths = [max(len(line[index]) for line in cells) for index in range(len(HEAD))]
    rule = "  ".join("=" * width for width in widths)
    lines = [_line(line, widths) for line in cells]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule, ""])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    pairs = zip(cells, widths, strict=True)
    return "  ".join(cell.ljust(width) for cell, width in pairs).rstrip()


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    seconds = sorted(row["seconds"])
    # An empty cell in the first column would join it to the line before.
    return (
        row["fault"],
        row["broker"] or "\\-",
        str(len(seconds)),
        *(f"{_part(seconds, share):.1f}" for share in (0.5, 0.99, 1.0)),
        f"{row['limit_s']:g}",
        str(len(row["violations"])),
        *("\\-" if row[key] is None else str(row[key]) for key in ("lost", "again")),
    )


def _part(values: Sequence[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))]


def _notes(rows: Iterable[dict[str, Any]]) -> str:
    lines = [_note(row) for row in rows if row["note"]]
    return "".join(f"{line}\n" for line in [*lines, *([""] if lines else [])])


def _note(row: dict[str, Any]) -> str:
    broker = f", {row['broker']}" if row["broker"] else ""
    return f"- {row['fault']}{broker}: {row['note']}"


if __name__ == "__main__":
    main()
