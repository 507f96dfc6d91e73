"""All at a glance: what needs somebody first, the apps, the branches."""

from __future__ import annotations

from collections import Counter
from typing import Any

from cyme_supd.domain.attention import HELD, OFF, WELL, worst
from cyme_supd.web.admin.apps import counted
from cyme_supd.web.admin.inner import Answer, ask
from cyme_supd.web.admin.rendering import ROWS, render, segment

_QUIET = (WELL, OFF, HELD)
MOST_WAITING = 10
MOST_TROUBLES = 20


def fleet() -> str:
    seen, found = ask("/api/overview/"), ask("/branches/")
    ids = found.value if found.is_ok else []
    branches = [ask(f"/branches/{segment(id)}/").value for id in ids[:ROWS]]
    rows, troubles = seen.data("instances"), ask("/api/jobs/troubles/")
    return render(
        "fleet",
        answers=(seen, found, troubles),
        troubles=troubles.data("troubles")[:MOST_TROUBLES],
        trouble_count=len(troubles.data("troubles")),
        health=ask("/health/").value,
        branches=branches,
        counts=Counter(each["level"] for each in rows),
        worst=worst(each["level"] for each in rows),
        first=[each for each in rows if each["level"] not in _QUIET][:ROWS],
        apps=counted(seen),
        waiting=_waiting(seen)[:MOST_WAITING],
    )


def _waiting(seen: Answer) -> list[dict[str, Any]]:
    """Queues in which something waits, the longest first, then the most."""
    rows = [each for each in seen.data("queues") if each["depth"]]
    return sorted(rows, key=lambda one: (one["oldest_s"] or 0.0, one["depth"]), reverse=True)
