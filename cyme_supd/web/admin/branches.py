"""One branch: its host, and how it moves its instances away."""

from __future__ import annotations

from cyme_supd.web.admin.inner import ask, of_something
from cyme_supd.web.admin.rendering import ROWS, render, segment


def branch(id: str) -> str:
    place = f"/branches/{segment(id)}/"
    found, seen = of_something(ask(place)), ask("/api/overview/")
    rows = [each for each in seen.data("instances") if each["branch"] == id]
    return render(
        "branch",
        answers=(found, seen),
        id=id,
        place=place,
        found=found.value,
        rows=rows[:ROWS],
        count=len(rows),
    )
