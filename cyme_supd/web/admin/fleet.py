"""All at a glance: what needs somebody first, the apps, the branches."""

from __future__ import annotations

from collections import Counter

from cyme_supd.domain.attention import HELD, OFF, WELL, worst
from cyme_supd.web.admin.apps import counted
from cyme_supd.web.admin.inner import ask
from cyme_supd.web.admin.rendering import ROWS, render, segment

_QUIET = (WELL, OFF, HELD)


def fleet() -> str:
    seen, found = ask("/api/overview/"), ask("/branches/")
    ids = found.value if found.is_ok else []
    branches = [ask(f"/branches/{segment(id)}/").value for id in ids[:ROWS]]
    rows = seen.data("instances")
    return render(
        "fleet",
        answers=(seen, found),
        health=ask("/health/").value,
        branches=branches,
        counts=Counter(each["level"] for each in rows),
        worst=worst(each["level"] for each in rows),
        first=[each for each in rows if each["level"] not in _QUIET][:ROWS],
        apps=counted(seen),
    )
