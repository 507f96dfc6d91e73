"""A file of categories and their jobs, looked over without a branch."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cyme_supd.domain.jobfields import check_category, read_jobs, settle
from cyme_supd.domain.naming import nearest
from cyme_supd.domain.values import load_json, shown
from cyme_supd.errors import Invalid
from cyme_supd.schedules.parsing import parse_schedule

_FIELDS = ("category", "jobs", "$schema")
_HINT = 'send {"category": "...", "jobs": [...]}, or a list of such'
_SOME_TIME = datetime(2000, 1, 1, tzinfo=UTC)


def read_file(text: bytes) -> dict[str, list[Any]]:
    """The jobs of each category in *text*; raises ``Invalid`` for what a branch would refuse."""
    said = load_json(text)
    read: dict[str, list[Any]] = {}
    for one in said if isinstance(said, list) else [said]:
        name, jobs = _category(one)
        if name in read:
            raise Invalid(f"category {shown(name)} is there twice")
        read[name] = jobs
    if not read:
        raise Invalid("there is no category", _HINT)
    return read


def _category(one: Any) -> tuple[str, list[Any]]:
    if not isinstance(one, Mapping) or "category" not in one:
        raise Invalid("a category is an object with a name", _HINT)
    for field in one:
        if field not in _FIELDS:
            raise Invalid(f"unknown field {shown(field)}", nearest(field[:60], _FIELDS))
    name, jobs = check_category(one["category"]), one.get("jobs")
    if not isinstance(jobs, list):
        raise Invalid(f"category {name!r}: jobs: a list of objects", _HINT)
    try:
        settle(name, (), read_jobs(jobs), _SOME_TIME, parse_schedule)
    except Invalid as exc:
        raise Invalid(f"category {name!r}: {exc.message}", exc.hint) from None
    return name, jobs
