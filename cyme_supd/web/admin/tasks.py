"""Tasks that are tracked: as a list, one by one, and what failed or was refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import request

from cyme_supd.domain.ledger import FINAL
from cyme_supd.domain.ledgerstore import LOST, MAX_PAGE
from cyme_supd.domain.tracking import STATES
from cyme_supd.web.admin.inner import Answer, ask, of_something
from cyme_supd.web.admin.rendering import ROWS, render, segment

#: What lists are narrowed by, as the interface calls it, and what a field of it is called.
FILTERS: Mapping[str, str] = {
    "app": "App",
    "name": "Task",
    "state": "State",
    "queue": "Queue",
    "worker": "Worker",
    "error": "Exception",
    "since": "Since",
    "until": "Until",
    "q": "In its arguments",
}
#: How loud a state is.
_LEVELS = {
    "SUCCESS": "well",
    "FAILURE": "ill",
    "REJECTED": "ill",
    LOST: "ill",
    "RETRY": "held",
    "REVOKED": "off",
    "STARTED": "changing",
}
#: Apps that are asked how producers join them: each is a question of its own.
_MOST_ASKED = 20


def tasks() -> str:
    """Narrowed by all of :data:`FILTERS`; ``after`` is where the page before ended."""
    wanted = _wanted()
    found = ask("/api/tasks/", **wanted, after=request.args.get("after"), per_page=ROWS)
    rows, joining = found.data("tasks"), _joining(found)
    return _list("tasks", found, rows=rows, joining=joining, **_of_page(found))


def _of_page(found: Answer) -> dict[str, Any]:
    value = found.value if found.is_ok else {"after": None, "gaps": []}
    return {"after": value["after"], "gaps": value["gaps"]}


def _joining(found: Answer) -> dict[str, Any]:
    """By app that is tracked, how producers join, where nothing at all is recorded."""
    if request.args or not found.is_ok or found.data("tasks"):
        return {}
    apps = ask("/")
    names = apps.value[:_MOST_ASKED] if apps.is_ok else []
    told = {app: ask(f"/{segment(app)}/tracking/") for app in names}
    return {
        app: each.value for app, each in told.items() if each.is_ok and each.value["is_tracked"]
    }


def errors() -> str:
    found = ask("/api/tasks/errors/", **_wanted(), per_page=ROWS)
    return _list("taskerrors", found, rows=found.data("errors"))


def refusals() -> str:
    app = request.args.get("app")
    found = ask("/api/tasks/refusals/", app=app, per_page=ROWS)
    return _list("refusals", found, rows=found.data("refusals"))


def _list(page: str, found: Answer, **values: Any) -> str:
    apps, wanted = ask("/"), _wanted()
    return render(
        page,
        answers=(found, apps),
        filters=FILTERS,
        wanted=wanted,
        narrowing=f"?{urlencode(wanted)}" if wanted else "",
        states=(*STATES, LOST),
        apps=apps.value if apps.is_ok else [],
        state_level=_level,
        **values,
    )


def _wanted() -> dict[str, str]:
    said = request.args
    return {name: said[name] for name in FILTERS if said.get(name)}


def _level(task: Mapping[str, Any]) -> str:
    return "ill" if task["lost"] else _LEVELS.get(task["state"], "unknown")


def task(id: str) -> str:
    place = f"/api/tasks/{segment(id)}/"
    found = of_something(ask(place))
    one = found.value["data"]["task"] if found.is_ok else None
    return render(
        "task",
        answers=(found,),
        id=id,
        place=place,
        found=one,
        is_over=one is not None and (one["state"] in FINAL or one["lost"] is not None),
        state_level=_level,
        most=ROWS,
        most_told=MAX_PAGE,
    )
