"""Looks through what was changed, as the database does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from cyme_supd.domain.audit import ACT, Event, Query
from cyme_supd.testing.state import State


class MemoryAudit:
    _state: State

    def audit(self, query: Query) -> list[Event]:
        return find(self._state.audit, query)


class MemoryAuditEdit:
    _state: State

    def forget_decisions(self, before: datetime) -> int:
        kept = [one for one in self._state.audit if one.verb != ACT or one.at >= before]
        count = len(self._state.audit) - len(kept)
        self._state.audit = kept
        return count


def find(events: Sequence[Event], query: Query) -> list[Event]:
    wanted = [each for each in events if _is_wanted(each, query)]
    return sorted(wanted, key=lambda each: (each.at, each.id), reverse=True)[: query.limit]


def _is_wanted(event: Event, query: Query) -> bool:
    return (
        query.actor in (None, event.actor.name)
        and query.verb in (None, event.verb)
        and query.kind in (None, event.kind)
        and query.app in (None, event.app)
        and query.name in (None, event.name)
        and (query.since is None or event.at >= query.since)
        and (query.until is None or event.at < query.until)
        and (query.newer_than is None or event.id > query.newer_than)
        and (not query.text or query.text.lower() in _text(event).lower())
    )


def _text(event: Event) -> str:
    actor = event.actor
    values = [_json(each) for each in (event.before, event.after) if each is not None]
    texts = (actor.name, actor.address, actor.agent, event.verb, event.app, event.name, *values)
    # What stands in one and goes on in the next is found in none.
    return "\0".join(texts)


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True)
