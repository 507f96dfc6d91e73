"""Applications, as a list and one by one; what would be done for one, and what it lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from cyme_supd.domain.attention import worst
from cyme_supd.web.admin.inner import Answer, ask, of_something
from cyme_supd.web.admin.rendering import ROWS, render, segment


def apps() -> str:
    seen = ask("/api/overview/")
    return render("apps", answers=(seen,), apps=counted(seen))


def counted(seen: Answer) -> list[dict[str, Any]]:
    """The apps of an overview, each with its instances by their level."""
    theirs: dict[str, list[str]] = {each["name"]: [] for each in seen.data("apps")}
    for row in seen.data("instances"):
        theirs.setdefault(row["app"], []).append(row["level"])
    known = {each["name"]: each for each in seen.data("apps")}
    return [
        {
            **known.get(name, {"name": name, "broker": "", "pause": None}),
            "count": len(levels),
            "worst": worst(levels),
            "counts": Counter(levels),
        }
        for name, levels in sorted(theirs.items())
    ]


def app(app: str) -> str:
    place = f"/{segment(app)}/"
    found, seen = of_something(ask(place)), ask("/api/overview/")
    rows = _of(app, seen.data("instances"))
    return render(
        "app",
        answers=(found, seen),
        app=app,
        place=place,
        found=found.value,
        rollout=ask(f"{place}restart/").value,
        worst=worst(each["level"] for each in rows),
        count=len(rows),
        rows=rows[:ROWS],
        queues=_of(app, seen.data("queues")),
    )


def plan(app: str) -> str:
    return _asked("plan", app)


def orphans(app: str) -> str:
    return _asked("orphans", app)


def _asked(page: str, app: str) -> str:
    place = f"/{segment(app)}/{page}/"
    found = of_something(ask(place))
    return render(page, answers=(found,), app=app, place=place, found=found.value)


def _of(app: str, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [each for each in rows if each["app"] == app]
