"""Progress on a terminal: a bar, who is next, who failed."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bars

from cyme_supd.cli.output import harmless
from cyme_supd.cli.progress import Progress, Steps
from cyme_supd.domain.naming import listed

_SHOWN = 3


def watched(steps: Steps) -> Steps:
    """The same *steps*, each shown on standard error as it comes."""
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    columns = (_text("title"), BarColumn(), MofNCompleteColumn(), _text("next"), _text("failed"))
    with Bars(*columns, console=console) as bars:
        task = bars.add_task("", total=None, title="", next="", failed="")
        seen: set[str] = set()
        for each in steps:
            for name in each.failed.keys() - seen:
                seen.add(name)
                console.print(f"{name}: {harmless(each.failed[name])}")
            bars.update(task, completed=len(each.done), total=each.total, **_words(each))
            yield each


def _text(field: str) -> TextColumn:
    return TextColumn(f"{{task.fields[{field}]}}", markup=False)


def _words(progress: Progress) -> dict[str, Any]:
    names = listed(progress.next, _SHOWN)
    failed = f"failed: {len(progress.failed)}" if progress.failed else ""
    return {"title": progress.title, "next": f"next: {names}" if names else "", "failed": failed}
