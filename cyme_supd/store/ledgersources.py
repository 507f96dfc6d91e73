"""Where tasks are seen, when nobody was there, and what was refused: as rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from cyme_supd.domain.ledger import bounded
from cyme_supd.domain.ledgerstore import MOST_GAPS, MOST_REFUSALS, Gap, Refusal, Source
from cyme_supd.store import models as m

_SOURCE, _GAP, _REFUSAL = m.ledger_source.c, m.ledger_gap.c, m.ledger_refusal.c


def sources(connection: Connection) -> list[Source]:
    rows = connection.execute(select(m.ledger_source).order_by(_SOURCE.key))
    return [Source(**row._asdict()) for row in rows]


def save(connection: Connection, source: Source) -> None:
    values = asdict(source)
    own = _SOURCE.key == values.pop("key")
    # Asked first: MariaDB counts no row that is as it was.
    if connection.execute(select(_SOURCE.key).where(own).with_for_update()).first():
        connection.execute(update(m.ledger_source).where(own).values(values))
    else:
        connection.execute(insert(m.ledger_source), {"key": source.key, **values})


def gaps(connection: Connection, since: float, until: float) -> list[Gap]:
    wanted = select(m.ledger_gap).where(_GAP.until >= since, _GAP.since < until)
    rows = connection.execute(wanted.order_by(_GAP.until.desc(), _GAP.id.desc()).limit(MOST_GAPS))
    return [Gap(row.source, row.what, row.since, row.until, row.reason) for row in rows]


def add_gap(connection: Connection, gap: Gap) -> None:
    connection.execute(insert(m.ledger_gap), asdict(gap))
    _trim(connection, m.ledger_gap, gap.source, MOST_GAPS)


def refusals(connection: Connection, source: str, limit: int) -> list[Refusal]:
    wanted = select(m.ledger_refusal).where(_REFUSAL.source == source)
    rows = connection.execute(wanted.order_by(_REFUSAL.id.desc()).limit(limit))
    return [Refusal(**{k: v for k, v in row._asdict().items() if k != "id"}) for row in rows]


def refuse(connection: Connection, refusals: Iterable[Refusal]) -> None:
    rows = [_row(each) for each in refusals]
    if not rows:
        return
    connection.execute(insert(m.ledger_refusal), rows)
    for source in {row["source"] for row in rows}:
        _trim(connection, m.ledger_refusal, source, MOST_REFUSALS)


def _row(refusal: Refusal) -> dict[str, Any]:
    texts = {
        name: bounded(value) if isinstance(value, str) else value
        for name, value in asdict(refusal).items()
    }
    return {**texts, "source": refusal.source}


def _trim(connection: Connection, table: Any, source: str, most: int) -> None:
    """Make room for the latest."""
    ids = select(table.c.id).where(table.c.source == source).order_by(table.c.id.desc())
    last = connection.scalar(ids.offset(most).limit(1))
    if last is not None:
        connection.execute(delete(table).where(table.c.source == source, table.c.id <= last))
