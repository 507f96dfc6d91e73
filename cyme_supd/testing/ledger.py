"""The record of tasks of the store in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from cyme_supd.domain.ledger import Record, bounded, merge
from cyme_supd.domain.ledgerstore import (
    DEFAULT_PAGE,
    EXACT,
    LOST,
    MOST_GAPS,
    MOST_REFUSALS,
    Cursor,
    ErrorGroup,
    Gap,
    Refusal,
    Source,
    TaskPage,
    TaskQuery,
    Tracked,
    columns,
    has_text,
    micros,
    word,
)
from cyme_supd.testing.ledgerstate import LedgerState
from cyme_supd.testing.state import State


class MemoryLedger:
    _state: State

    @property
    def _ledger(self) -> LedgerState:
        return self._state.ledger

    def tracked(self, query: TaskQuery) -> TaskPage:
        fitting = list(self._fitting(query))
        if len(fitting) > query.limit:
            return TaskPage(fitting[: query.limit], fitting[query.limit - 1].cursor)
        return TaskPage(fitting)

    def tracked_with(self, id: str, source: str | None = None) -> list[Tracked]:
        return [
            self._ledger.tasks[number]
            for (of, known), number in sorted(self._ledger.numbers.items())
            if known == id and source in (None, of)
        ]

    def tracked_messages(self, numbers: Collection[int]) -> dict[int, str]:
        return {each: kept for each in numbers if (kept := self._ledger.messages.get(each))}

    def tracked_retries(self, source: str, ids: Collection[str]) -> dict[str, list[Tracked]]:
        found: dict[str, list[Tracked]] = {}
        for _, each in sorted(self._ledger.tasks.items()):
            first = each.record.get("retry_of")
            if each.source == source and first in ids:
                found.setdefault(first, []).append(each)
        return found

    def tracked_errors(self, query: TaskQuery) -> list[ErrorGroup]:
        groups: dict[str, list[Tracked]] = {}
        for task in self._fitting(query):
            told = columns(task.record)
            if told["state"] == "FAILURE" and told["error"] is not None:
                groups.setdefault(told["error"], []).append(task)
        found = [
            ErrorGroup(error, len(tasks), last.record.id, last.began_at)
            for error, tasks in groups.items()
            if (last := max(tasks, key=lambda each: each.number))
        ]
        return sorted(found, key=lambda each: (-each.count, each.error))[: query.limit]

    def oldest_tracked(
        self, source: str, states: Collection[str], before: float, after: Cursor, limit: int
    ) -> list[Tracked]:
        found = [
            each
            for each in self._ledger.tasks.values()
            if each.source == source
            and each.record.state in states
            and after < each.cursor < (micros(before), 0)
        ]
        return sorted(found, key=lambda each: each.cursor)[:limit]

    def beyond(self, state: str, count: int) -> Cursor | None:
        theirs = list(self._fitting(TaskQuery(state=state)))
        return theirs[count].cursor if len(theirs) > count else None

    def sources(self) -> list[Source]:
        return [source for _, source in sorted(self._ledger.sources.items())]

    def gaps(self, since: float = 0.0, until: float = 1e11) -> list[Gap]:
        touched = [each for each in self._ledger.gaps if each.until >= since and each.since < until]
        return sorted(reversed(touched), key=lambda each: -each.until)

    def refusals(self, source: str, limit: int = DEFAULT_PAGE) -> list[Refusal]:
        theirs = [each for each in self._ledger.refusals if each.source == source]
        return theirs[::-1][:limit]

    def _fitting(self, query: TaskQuery) -> Iterator[Tracked]:
        for each in sorted(self._ledger.tasks.values(), key=lambda one: one.cursor, reverse=True):
            if _fits(each, query):
                yield each


class MemoryLedgerEdit(MemoryLedger):
    def observe(
        self, source: str, records: Iterable[Record], messages: Mapping[str, str] | None = None
    ) -> None:
        self._ledger.sources.setdefault(source, Source(source, ""))
        for record in sorted(records, key=lambda each: each.id):
            number = self._number(source, record.id)
            known = self._ledger.tasks.get(number)
            whole = merge(known.record, record) if known else record
            began_at = columns(whole)["began_at"]
            self._ledger.tasks[number] = Tracked(number, source, began_at, whole)
            if messages and record.id in messages:
                self._ledger.messages.setdefault(number, messages[record.id])

    def save_source(self, source: Source) -> None:
        kept = replace(source, refused=dict(source.refused), workers=dict(source.workers))
        self._ledger.sources[source.key] = kept

    def add_gap(self, gap: Gap) -> None:
        self._ledger.gaps.append(gap)
        theirs = [each for each in self._ledger.gaps if each.source == gap.source]
        for each in theirs[:-MOST_GAPS]:
            self._ledger.gaps.remove(each)

    def refuse(self, refusals: Iterable[Refusal]) -> None:
        for each in refusals:
            self._ledger.refusals.append(_bounded(each))
            theirs = [kept for kept in self._ledger.refusals if kept.source == each.source]
            for old in theirs[:-MOST_REFUSALS]:
                self._ledger.refusals.remove(old)

    def mark_lost(self, numbers: Collection[int], reason: str) -> None:
        for number in numbers:
            known = self._ledger.tasks.get(number)
            if known is not None and known.lost is None:
                self._ledger.tasks[number] = replace(known, lost=reason)

    def forget_tracked(self, state: str, before: Cursor, limit: int) -> int:
        theirs = [each for each in self._fitting(TaskQuery(state=state)) if each.cursor <= before]
        gone = theirs[::-1][:limit]
        for each in gone:
            del self._ledger.tasks[each.number]
            del self._ledger.numbers[each.source, each.record.id]
            self._ledger.messages.pop(each.number, None)
        return len(gone)

    def _number(self, source: str, id: str) -> int:
        if (source, id) not in self._ledger.numbers:
            self._ledger.last += 1
            self._ledger.numbers[source, id] = self._ledger.last
        return self._ledger.numbers[source, id]


def _bounded(refusal: Refusal) -> Refusal:
    return replace(
        refusal,
        detail=bounded(refusal.detail),
        content_type=bounded(refusal.content_type),
        headers=bounded(refusal.headers),
    )


def _fits(task: Tracked, query: TaskQuery) -> bool:
    told = {**columns(task.record), "source": task.source}
    for name in EXACT:
        wanted = getattr(query, name)
        if (name, wanted) == ("state", LOST):
            if task.lost is None:
                return False
        elif wanted is not None and told[name] != word(wanted):
            return False
    is_behind = query.after is None or task.cursor < query.after
    is_late = query.since is None or task.began_at >= micros(query.since)
    is_early = query.until is None or task.began_at < micros(query.until)
    has_it = not query.text or has_text(task.record, query.text)
    return is_behind and is_late and is_early and has_it
