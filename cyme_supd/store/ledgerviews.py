"""The parts of a view and of a transaction that are about tasks that are tracked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import Connection

from cyme_supd.domain.ledger import Record
from cyme_supd.domain.ledgerstore import (
    DEFAULT_PAGE,
    Cursor,
    ErrorGroup,
    Gap,
    Refusal,
    Source,
    TaskPage,
    TaskQuery,
    Tracked,
)
from cyme_supd.store import ledgerqueries, ledgerrows, ledgersources


class SqlLedger:
    _connection: Connection

    def tracked(self, query: TaskQuery) -> TaskPage:
        return ledgerqueries.page(self._connection, query)

    def tracked_with(self, id: str, source: str | None = None) -> list[Tracked]:
        return ledgerqueries.with_id(self._connection, id, source)

    def tracked_messages(self, numbers: Collection[int]) -> dict[int, str]:
        return ledgerqueries.messages(self._connection, numbers)

    def tracked_retries(self, source: str, ids: Collection[str]) -> dict[str, list[Tracked]]:
        return ledgerqueries.retries(self._connection, source, ids)

    def tracked_errors(self, query: TaskQuery) -> list[ErrorGroup]:
        return ledgerqueries.errors(self._connection, query)

    def oldest_tracked(
        self, source: str, states: Collection[str], before: float, after: Cursor, limit: int
    ) -> list[Tracked]:
        return ledgerqueries.oldest(self._connection, source, states, before, after, limit)

    def beyond(self, state: str, count: int) -> Cursor | None:
        return ledgerqueries.beyond(self._connection, state, count)

    def sources(self) -> list[Source]:
        return ledgersources.sources(self._connection)

    def gaps(self, since: float = 0.0, until: float = 1e11) -> list[Gap]:
        return ledgersources.gaps(self._connection, since, until)

    def refusals(self, source: str, limit: int = DEFAULT_PAGE) -> list[Refusal]:
        return ledgersources.refusals(self._connection, source, limit)


class SqlLedgerEdit:
    _connection: Connection

    def observe(
        self, source: str, records: Iterable[Record], messages: Mapping[str, str] | None = None
    ) -> None:
        ledgerrows.observe(self._connection, source, records, messages or {})

    def save_source(self, source: Source) -> None:
        ledgersources.save(self._connection, source)

    def add_gap(self, gap: Gap) -> None:
        ledgersources.add_gap(self._connection, gap)

    def refuse(self, refusals: Iterable[Refusal]) -> None:
        ledgersources.refuse(self._connection, refusals)

    def mark_lost(self, numbers: Collection[int], reason: str) -> None:
        ledgerrows.mark_lost(self._connection, numbers, reason)

    def forget_tracked(self, state: str, before: Cursor, limit: int) -> int:
        return ledgerrows.forget(self._connection, state, before, limit)
