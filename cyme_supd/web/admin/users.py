"""Who may do what: users and tokens."""

from __future__ import annotations

from typing import Any

from cyme_supd.domain.access import Role
from cyme_supd.web.admin.inner import Answer, ask
from cyme_supd.web.admin.rendering import ROWS, render, segment


def users() -> str:
    names, ids = ask("/api/users/"), ask("/api/tokens/")
    return render(
        "users",
        answers=(names, ids),
        users=_each("/api/users/", names),
        tokens=_each("/api/tokens/", ids),
        names=names.value if names.is_ok else [],
        count=len(ids.value) if ids.is_ok else 0,
        apps=[each["name"] for each in ask("/api/overview/").data("apps")],
        roles=list(Role),
    )


def _each(place: str, found: Answer) -> list[dict[str, Any]]:
    """Those of the list that was *found*, as many as a page has; one may be gone by now."""
    listed = found.value[:ROWS] if found.is_ok else []
    asked = [ask(f"{place}{segment(each)}/") for each in listed]
    return [each.value for each in asked if each.is_ok]
