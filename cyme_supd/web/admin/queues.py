"""Queues, and how much waits in them."""

from __future__ import annotations

from cyme_supd.web.admin.inner import ask
from cyme_supd.web.admin.rendering import ROWS, render


def queues() -> str:
    seen = ask("/api/queues/")
    found = seen.data("queues")
    return render("queues", answers=(seen,), rows=found[:ROWS], count=len(found))
