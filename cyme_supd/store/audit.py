"""What was changed, as rows: added, and never edited; old decisions are dropped."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, insert, or_, select

from cyme_supd.clock import isoformat
from cyme_supd.domain.audit import ACT, AUDIT_LOG, Actor, Event, Query
from cyme_supd.store import models as m

_log = logging.getLogger(AUDIT_LOG)
_TEXTS = ("actor", "address", "agent", "verb", "app", "name", "was", "now")
_EQUAL = ("actor", "verb", "kind", "app", "name")


def add(connection: Connection, events: Iterable[Event]) -> None:
    rows = [_values(event) for event in events]
    if rows:
        connection.execute(insert(m.audit), rows)


def find(connection: Connection, query: Query) -> list[Event]:
    wanted = _narrowed(select(m.audit), query)
    newest_first = (m.audit.c.at.desc(), m.audit.c.id.desc())
    wanted = wanted.order_by(*newest_first).limit(query.limit)
    return [_event(row) for row in connection.execute(wanted)]


def forget_decisions(connection: Connection, before: datetime) -> int:
    old = (m.audit.c.verb == ACT) & (m.audit.c.at < before)
    return connection.execute(delete(m.audit).where(old)).rowcount


def tell(events: Iterable[Event]) -> None:
    """Put each into the log of changes, as one line of ASCII, whatever somebody has typed."""
    for event in events:
        told = {"at": isoformat(event.at), "was": event.before, "now": event.after}
        _log.info("%s", json.dumps(_values(event) | told))


def _narrowed(wanted: Select[Any], query: Query) -> Select[Any]:
    columns = m.audit.c
    for name in _EQUAL:
        value = getattr(query, name)
        if value is not None:
            wanted = wanted.where(columns[name] == value)
    if query.since is not None:
        wanted = wanted.where(columns.at >= query.since)
    if query.until is not None:
        wanted = wanted.where(columns.at < query.until)
    if query.newer_than is not None:
        wanted = wanted.where(columns.id > query.newer_than)
    if query.text:
        found = [columns[name].icontains(query.text, autoescape=True) for name in _TEXTS]
        wanted = wanted.where(or_(*found))
    return wanted


def _values(event: Event) -> dict[str, Any]:
    actor = event.actor
    return {
        "at": event.at,
        "actor": actor.name,
        "address": actor.address,
        "agent": actor.agent,
        "branch": event.branch,
        "verb": event.verb,
        "kind": event.kind,
        "app": event.app,
        "name": event.name,
        "was": _text(event.before),
        "now": _text(event.after),
    }


def _text(value: Mapping[str, Any] | None) -> str | None:
    # Text and not JSON: it is searched, by every database in the same words.
    return None if value is None else json.dumps(dict(value), sort_keys=True)


def _event(row: Row[Any]) -> Event:
    return Event(
        at=row.at,
        actor=Actor(row.actor, row.address, row.agent),
        branch=row.branch,
        verb=row.verb,
        kind=row.kind,
        app=row.app,
        name=row.name,
        before=None if row.was is None else json.loads(row.was),
        after=None if row.now is None else json.loads(row.now),
        id=row.id,
    )
