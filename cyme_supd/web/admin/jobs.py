"""Jobs and their runs, as lists and one by one."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from flask import request

from cyme_supd.domain.job import RunStatus
from cyme_supd.web.admin.inner import Answer, ask, of_something
from cyme_supd.web.admin.rendering import ROWS, render, segment

#: Runs on the page of a job, and those that its chart shows.
LATEST, DRAWN = 25, 200
UPCOMING = 5
OUTPUT_BYTES = 8192
#: Of a category with more jobs the list is no text that somebody edits in a page.
MOST_EDITED = 100
#: What is not said of a job in a category's list where it is so.
_USUAL: Mapping[str, Any] = {
    "routing_key": "cronq_jobs",
    "overlap": "allow",
    "catch_up": "one",
    "retries": 0,
    "jitter_s": 0,
    "environment": {},
}
_SAID = (
    "name", "schedule", "command", "argv", "routing_key", "app", "timezone", "timeout_s", "overlap",
    "catch_up", "deadline_s", "retries", "jitter_s", "environment", "user",
)  # fmt: skip


_EXAMPLE = """[
  {
    "name": "Hello",
    "schedule": "R/2013-05-29T00:00:00/PT1M",
    "command": "echo hello",
    "routing_key": "slow"
  }
]"""


def jobs() -> str:
    """Of one category with ``category``, whose list can be edited there; in pages."""
    category = request.args.get("category")
    number = max(1, request.args.get("page", 1, type=int))
    wanted = {"category_name": category, "page": number, "per_page": ROWS}
    found, troubles = ask("/api/jobs/", **wanted), ask("/api/jobs/troubles/")
    categories = ask("/api/categories/")
    counts = {each["name"]: each["job_count"] for each in categories.data("categories")}
    rows = found.data("jobs")
    return render(
        "jobs",
        answers=(found, categories, troubles),
        category=category,
        groups=[
            (name, list(theirs)) for name, theirs in groupby(rows, lambda one: one["category_name"])
        ],
        counts=counts,
        troubles=_troubles(troubles, category)[:ROWS],
        number=number,
        has_more=found.is_ok and found.value["data"]["has_more"],
        listed=_listed(category, counts),
        example=_EXAMPLE,
    )


def _troubles(found: Answer, category: str | None) -> list[dict[str, Any]]:
    rows = found.data("troubles")
    return [each for each in rows if category in (None, "", each["category_name"])]


def _listed(category: str | None, counts: Mapping[str, int]) -> list[dict[str, Any]] | None:
    """The jobs of *category* as its list has them; ``None`` of none, or of too many."""
    if not category or not 0 < counts.get(category, 0) <= MOST_EDITED:
        return None
    found = ask(f"/api/categories/{segment(category)}/")
    return (
        [_as_said(each) for each in found.value["data"]["category"]["jobs"]]
        if found.is_ok
        else None
    )


def _as_said(job: Mapping[str, Any]) -> dict[str, Any]:
    return {key: job[key] for key in _SAID if job[key] not in (None, _USUAL.get(key))}


def job(id: str) -> str:
    place = f"/api/jobs/{segment(id)}/"
    found = of_something(ask(place, next=UPCOMING))
    runs = ask("/api/runs/", job_id=id, per_page=LATEST)
    troubles = ask("/api/jobs/troubles/")
    return render(
        "job",
        answers=(found, runs, troubles),
        id=id,
        place=place,
        found=found.value["data"]["job"] if found.is_ok else None,
        runs=runs.data("runs"),
        troubles=[each for each in troubles.data("troubles") if each["job_id"] == id],
        drawn=f"/api/runs/?job_id={segment(id)}&per_page={DRAWN}",
    )


def runs() -> str:
    """Narrowed by ``status``, ``category`` and ``job_id``; ``page`` counts from 1."""
    said = request.args
    number = max(1, said.get("page", 1, type=int))
    wanted = {
        "status": said.get("status"),
        "category_name": said.get("category"),
        "job_id": said.get("job_id"),
        "page": number,
        "per_page": ROWS,
    }
    found = ask("/api/runs/", **wanted)
    return render(
        "runs",
        answers=(found,),
        rows=found.data("runs"),
        number=number,
        has_more=found.is_ok and found.value["data"]["has_more"],
        statuses=["failed,timed_out,lost", *map(str, RunStatus)],
        categories=[each["name"] for each in ask("/api/categories/").data("categories")],
    )


def run(id: str) -> str:
    place = f"/api/runs/{segment(id)}/"
    found = of_something(ask(place))
    one = found.value["data"]["run"] if found.is_ok else None
    return render(
        "run",
        answers=(found,),
        id=id,
        place=place,
        found=one,
        instance=_instance(one),
        output=ask(f"{place}output/", bytes=OUTPUT_BYTES),
        output_bytes=OUTPUT_BYTES,
    )


def _instance(run: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The one that ran it, if it is an instance and there still; names are unique."""
    if run is None or not run["instance"]:
        return None
    rows = ask("/api/overview/").data("instances")
    return next((each for each in rows if each["name"] == run["instance"]), None)
