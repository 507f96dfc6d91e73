"""Instances, as a list and one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, request

from cyme_supd.web import wire
from cyme_supd.web.admin.inner import Answer, ask, of_something
from cyme_supd.web.admin.rendering import ROWS, render, segment

EVENTS = 50
LOG_BYTES = 8192


def instances() -> str:
    """Narrowed by ``app``, ``level`` and ``q``; ``page`` counts from 1."""
    seen = ask("/api/overview/")
    rows = _wanted(seen)
    number = max(1, request.args.get("page", 1, type=int))
    return render(
        "instances",
        answers=(seen,),
        rows=rows[(number - 1) * ROWS : number * ROWS],
        count=len(rows),
        number=number,
        last=max(1, -(-len(rows) // ROWS)),
        apps=[each["name"] for each in seen.data("apps")],
        branches=ask("/branches/").value,
    )


def matching() -> Response:
    """The names of all that the list shows, whatever the page: what bulk actions are for."""
    seen = ask("/api/overview/")
    if not seen.is_ok:
        return wire.answer(seen.value, seen.status)
    return wire.answer([{"app": each["app"], "name": each["name"]} for each in _wanted(seen)])


def instance(app: str, name: str) -> str:
    place = f"/{segment(app)}/instances/{segment(name)}/"
    found, seen = of_something(ask(place)), ask("/api/overview/")
    return render(
        "instance",
        answers=(found, seen),
        app=app,
        name=name,
        place=place,
        at_once=f"/{segment(app)}/instances/!/{segment(name)}",
        queues=[each["name"] for each in seen.data("queues") if each["app"] == app],
        found=found.value,
        log_bytes=LOG_BYTES,
        changes=ask(f"{place}history/", limit=EVENTS).data("changes"),
        log=ask(f"{place}log/", bytes=LOG_BYTES),
        events=ask("/api/audit/", app=app, name=name, limit=EVENTS).data("events"),
    )


def _wanted(seen: Answer) -> list[dict[str, Any]]:
    return [each for each in seen.data("instances") if _is_wanted(each)]


def _is_wanted(row: Mapping[str, Any]) -> bool:
    said = request.args
    text = said.get("q", "").lower()
    return (
        said.get("app", row["app"]) in (row["app"], "")
        and said.get("level", row["level"]) in (row["level"], "")
        and any(text in str(row[key]).lower() for key in ("name", "app", "branch", "queues"))
    )
