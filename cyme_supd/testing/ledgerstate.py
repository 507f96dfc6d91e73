"""What the store in memory holds of tasks that are tracked."""

from __future__ import annotations

from dataclasses import dataclass, field

from cyme_supd.domain.ledgerstore import Gap, Refusal, Source, Tracked


@dataclass
class LedgerState:
    """By number, and the rest in the order in which it came. Tasks are replaced, not changed."""

    tasks: dict[int, Tracked] = field(default_factory=dict)
    numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    messages: dict[int, str] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    last: int = 0

    def copy(self) -> LedgerState:
        return LedgerState(
            dict(self.tasks),
            dict(self.numbers),
            dict(self.messages),
            dict(self.sources),
            list(self.gaps),
            list(self.refusals),
            self.last,
        )
