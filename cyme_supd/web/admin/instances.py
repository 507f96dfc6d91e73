"""Instances, as a list and one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from flask import request

from cyme_supd.errors import NotFound
from cyme_supd.web.admin.inner import ask
from cyme_supd.web.admin.rendering import ROWS, render

EVENTS = 50
LOG_BYTES = 8192


def instances() -> str:
    """Narrowed by ``app``, ``level`` and ``q``; ``page`` counts from 1."""
    seen = ask("/api/overview/")
    rows = [each for each in seen.data("instances") if _is_wanted(each)]
    number = max(1, request.args.get("page", 1, type=int))
    return render(
        "instances",
        answers=(seen,),
        rows=rows[(number - 1) * ROWS : number * ROWS],
        count=len(rows),
        number=number,
        last=max(1, -(-len(rows) // ROWS)),
        apps=[each["name"] for each in seen.data("apps")],
    )


def instance(app: str, name: str) -> str:
    place = f"/{quote(app)}/instances/{quote(name)}/"
    found = ask(place)
    if found.status == 404:
        raise NotFound(found.value["error"]["message"])
    return render(
        "instance",
        answers=(found,),
        app=app,
        name=name,
        place=place,
        found=found.value,
        changes=ask(f"{place}history/", limit=EVENTS).data("changes"),
        log=ask(f"{place}log/", bytes=LOG_BYTES),
        events=ask("/api/audit/", app=app, name=name, limit=EVENTS).data("events"),
    )


def _is_wanted(row: Mapping[str, Any]) -> bool:
    said = request.args
    text = said.get("q", "").lower()
    return (
        said.get("app", row["app"]) in (row["app"], "")
        and said.get("level", row["level"]) in (row["level"], "")
        and any(text in str(row[key]).lower() for key in ("name", "app", "branch", "queues"))
    )
