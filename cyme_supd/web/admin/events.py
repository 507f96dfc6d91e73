"""What was changed, by whom; and what the branches did of themselves."""

from __future__ import annotations

from flask import request

from cyme_supd.web.admin.inner import ask
from cyme_supd.web.admin.rendering import ROWS, render


def decisions() -> str:
    return _events("decisions", verb="act")


def audit() -> str:
    return _events("audit", verb=request.args.get("verb"))


def _events(page: str, verb: str | None) -> str:
    wanted = {name: request.args.get(name) for name in ("app", "name", "kind", "q", "before")}
    found = ask("/api/audit/", **wanted, verb=verb, limit=ROWS)
    return render(page, answers=(found,), events=found.data("events"), most=ROWS)
