"""What is known of tasks, as rows: read, put together with what was seen, and written."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from cyme_supd.domain.ledger import Order, Record, Span, merge
from cyme_supd.domain.ledgerstore import Cursor, Tracked, columns
from cyme_supd.store import models as m
from cyme_supd.store.engine import kind_of
from cyme_supd.store.jobs import batches

_ROWS = m.ledger.c
#: What a :class:`Tracked` is made from.
SHOWN = (_ROWS.number, _ROWS.source, _ROWS.id, _ROWS.began_at, _ROWS.lost, _ROWS.record)
_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def observe(
    connection: Connection,
    source: str,
    records: Iterable[Record],
    messages: Mapping[str, str],
) -> None:
    _take_turns(connection, source)
    seen = {record.id: record for record in records}
    # In one order for all, and that of their keys is kind to the index.
    for ids in batches(sorted(seen)):
        known = _known(connection, source, ids)
        new = [_row(source, seen[id], messages.get(id)) for id in ids if id not in known]
        if new:
            kind_of(connection.engine).insert(connection, m.ledger, new)
        changed = [
            made
            for id, row in known.items()
            if (made := _changed(source, row, seen[id], messages.get(id)))
        ]
        if changed:
            connection.execute(_CHANGE, changed)


def _take_turns(connection: Connection, source: str) -> None:
    """Two who add the same task at once would each be the first."""
    own = m.ledger_source.c.key == source
    if connection.execute(select(m.ledger_source.c.key).where(own).with_for_update()).first():
        return
    connection.execute(insert(m.ledger_source), {"key": source, **_NOTHING})


_NOTHING = {
    "queue": "",
    "watched_at": 0.0,
    "message_at": 0.0,
    "event_at": 0.0,
    "server": "",
    "refused": {},
    "workers": {},
}


def _known(connection: Connection, source: str, ids: Collection[str]) -> dict[str, Row[Any]]:
    wanted = select(*SHOWN, _ROWS.message.is_not(None).label("has_message"))
    wanted = wanted.where(_ROWS.source == source, _ROWS.id.in_(ids)).order_by(_ROWS.number)
    return {row.id: row for row in connection.execute(wanted)}


def _row(source: str, record: Record, message: str | None) -> dict[str, Any]:
    return {
        "source": source,
        "id": record.id,
        **columns(record),
        "lost": None,
        "record": packed(record),
        "message": message,
    }


def _changed(
    source: str, row: Row[Any], seen: Record, message: str | None
) -> dict[str, Any] | None:
    """The row as it is from now on; ``None`` where all of that was known."""
    record = merge(unpacked(row.id, row.record), seen)
    made = _row(source, record, None)
    message = None if row.has_message else message
    if made["record"] == row.record and message is None and row.lost is None:
        return None
    values = {f"new_{name}": made[name] for name in _CHANGING}
    return {"of": row.number, "new_message": message, **values}


_CHANGING = tuple(
    each.name for each in m.ledger.columns if each.name not in ("number", "source", "id", "message")
)
_CHANGE = (
    update(m.ledger)
    .where(_ROWS.number == bindparam("of"))
    .values(
        {name: bindparam(f"new_{name}") for name in _CHANGING}
        | {"message": func.coalesce(_ROWS.message, bindparam("new_message"))}
    )
)


def mark_lost(connection: Connection, numbers: Collection[int], reason: str) -> None:
    for batch in batches(sorted(numbers)):
        wanted = _ROWS.number.in_(batch) & _ROWS.lost.is_(None)
        connection.execute(update(m.ledger).where(wanted).values(lost=reason))


def forget(connection: Connection, state: str, before: Cursor, limit: int) -> int:
    at, number = before
    old = (_ROWS.began_at <= at) & ((_ROWS.began_at < at) | (_ROWS.number <= number))
    wanted = select(_ROWS.number).where(_ROWS.state == state, old)
    oldest = wanted.order_by(_ROWS.began_at, _ROWS.number).limit(limit)
    # Asked first: locked are these rows alone, and not what a search for them passes.
    numbers = sorted(connection.scalars(oldest))
    if not numbers:
        return 0
    gone = delete(m.ledger).where(_ROWS.number.in_(numbers), _ROWS.state == state)
    return connection.execute(gone).rowcount


def tracked(row: Any) -> Tracked:
    return Tracked(row.number, row.source, row.began_at, unpacked(row.id, row.record), row.lost)


def packed(record: Record) -> str:
    """Facts of one order stand together: most are of the same."""
    groups: dict[Order, dict[str, Any]] = {}
    for name, (order, value) in record.facts.items():
        groups.setdefault(order, {})[name] = value
    states = {name: (span.first, span.last) for name, span in record.states.items()}
    return _dumps([[(*order, facts) for order, facts in groups.items()], states])


def unpacked(id: str, text: str) -> Record:
    groups, states = json.loads(text)
    facts = {
        name: ((attempt, at, rank), value)
        for attempt, at, rank, group in groups
        for name, value in group.items()
    }
    return Record(id, facts, {name: Span(*span) for name, span in states.items()})


def needle(text: str) -> str:
    """*text* as it stands in a row's ``record``, if it is in there."""
    return _dumps(text)[1:-1]
