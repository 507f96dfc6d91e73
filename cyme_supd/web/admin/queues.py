"""Queues, and how much waits in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from cyme_supd.web.admin.inner import ask
from cyme_supd.web.admin.rendering import ROWS, render


def queues() -> str:
    seen = ask("/api/overview/")
    listed = seen.data("queues")[:ROWS]
    rows = [_row(each) for each in listed]
    return render("queues", answers=(seen,), rows=rows, count=len(seen.data("queues")))


def _row(seen: Mapping[str, Any]) -> dict[str, Any]:
    """What its broker says now; of what that does not tell, what a branch has seen."""
    path = f"/{quote(seen['app'])}/queues/{quote(seen['name'], safe='')}/"
    told = {name: value for name, value in ask(path).value.items() if value is not None}
    return {**seen, **told}
