"""Queues, and how much waits in them."""

from __future__ import annotations

from urllib.parse import quote

from cyme_supd.web.admin.inner import ask
from cyme_supd.web.admin.rendering import ROWS, render


def queues() -> str:
    seen = ask("/api/overview/")
    listed = seen.data("queues")[:ROWS]
    rows = [
        ask(f"/{quote(each['app'])}/queues/{quote(each['name'], safe='')}/").value | each
        for each in listed
    ]
    return render("queues", answers=(seen,), rows=rows, count=len(seen.data("queues")))
