"""What was measured, as rows: one for each app and moment."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from cyme_supd.domain.samples import FINE_FOR, KEPT_FOR, Point, Sample, Subject
from cyme_supd.store import models as m

_FIELDS = ("depth", "oldest_s", "begun", "running", "processes", "most")


def find(
    connection: Connection, subject: Subject, since: datetime
) -> dict[str, list[tuple[datetime, Point]]]:
    rows, found = m.sample.c, dict[str, list[tuple[datetime, Point]]]()
    is_part = subject.queue is not None or subject.instance is not None
    wanted = select(rows.branch, rows.at, rows.parts if is_part else rows.whole)
    wanted = wanted.where(rows.app == subject.app, rows.at >= since).order_by(rows.at)
    for branch, at, said in connection.execute(wanted):
        told = _part(said, subject) if is_part else said
        if told is not None:
            found.setdefault(branch, []).append((at, Point(*told)))
    return found


def save(connection: Connection, branch: str, samples: Iterable[Sample]) -> None:
    values = [_values(branch, each) for each in samples]
    if not values:
        return
    rows, ats = m.sample.c, {each["at"] for each in values}
    connection.execute(delete(m.sample).where(rows.branch == branch, rows.at.in_(ats)))
    connection.execute(insert(m.sample), values)


def remove(connection: Connection, branch: str, now: datetime) -> None:
    rows = m.sample.c
    is_too_fine = (rows.branch == branch) & rows.is_coarse.is_(False) & (rows.at < now - FINE_FOR)
    # Also of branches that are gone.
    connection.execute(delete(m.sample).where((rows.at < now - KEPT_FOR) | is_too_fine))


def _values(branch: str, sample: Sample) -> dict[str, Any]:
    parts = [_listed(sample.queues), _listed(sample.instances)]
    return {
        "branch": branch,
        "app": sample.app,
        "at": sample.at,
        "is_coarse": sample.is_coarse,
        "whole": _row(sample.whole),
        "parts": zlib.compress(json.dumps(parts, separators=(",", ":")).encode()),
    }


def _listed(points: Mapping[str, Point]) -> dict[str, list[float | None]]:
    return {name: _row(point) for name, point in points.items()}


def _row(point: Point) -> list[float | None]:
    return [getattr(point, name) for name in _FIELDS]


def _part(packed: bytes, subject: Subject) -> list[float | None] | None:
    queues, instances = json.loads(zlib.decompress(packed))
    found: list[float | None] | None
    if subject.queue is not None:
        found = queues.get(subject.queue)
    else:
        found = instances.get(subject.instance)
    return found
