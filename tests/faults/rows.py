"""One fault, many times: how long until all is right, and what else it did.

The results are left in ``build/faults`` for the table in ``docs/faults.rst``.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.faults.fleet import Fleet
from tests.support import eventually

#: Runs of each fault; a smoke test unless told otherwise.
RUNS = int(os.environ.get("CYME_FAULT_RUNS", "1"))
RESULTS = Path(__file__).parents[2] / "build" / "faults"
LEFT_WITHIN_S = 10.0


@dataclass(frozen=True)
class Hit:
    """What a fault was: the programs it hit, and when it was over (monotonic)."""

    programs: frozenset[str]
    since: float

    @classmethod
    def now(cls, *programs: str) -> Hit:
        return cls(frozenset(programs), time.monotonic())


@dataclass
class Row:
    """Of *runs* runs: *seconds* until all was right again, and what was not."""

    fault: str
    broker: str
    limit_s: float
    order: int = 0
    seconds: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    lost: int | None = None
    again: int | None = None
    note: str = ""

    def save(self) -> None:
        RESULTS.mkdir(parents=True, exist_ok=True)
        slug = re.sub(r"\W+", "-", f"{self.fault}-{self.broker}").strip("-")
        (RESULTS / f"{slug}.json").write_text(json.dumps(asdict(self), indent=1))
        spread = " ".join(f"{value:.2f}" for value in summary(self.seconds))
        print(f"{self.fault} ({self.broker}): {len(self.seconds)} runs, p50 p99 max {spread}")
        if self.note:
            print(self.note)

    def check(self) -> None:
        """Leave the result, then fail if there is something to complain of."""
        self.save()
        assert self.violations == [], self.violations
        assert max(self.seconds, default=0.0) <= self.limit_s


def summary(seconds: Iterable[float]) -> tuple[float, float, float]:
    """p50, p99, max: each the smallest value that so many are not above."""
    values = sorted(seconds) or [0.0]

    def part(share: float) -> float:
        return values[min(len(values) - 1, int(share * len(values)))]

    return part(0.5), part(0.99), values[-1]


def repeat(row: Row, fleet: Fleet, fault: Callable[[int], Hit], runs: int = RUNS) -> Row:
    """Do it *runs* times, each on a fleet that is right, and account for each."""
    fleet.settle()
    for number in range(runs):
        before, things = fleet.pids(), fleet.things()
        hit = fault(number)
        say = f"run {number}"
        try:
            eventually(fleet.is_right, row.limit_s + 30, every_s=0.02)
        except AssertionError as exc:
            row.violations.append(f"{say}: not as asked for: {exc}")
            row.seconds.append(row.limit_s + 30)
            break
        row.seconds.append(round(time.monotonic() - hit.since, 3))
        row.violations += [f"{say}: {each}" for each in after(fleet, hit, before, things)]
    return row


def after(fleet: Fleet, hit: Hit, before: dict[str, int], things: set[str]) -> list[str]:
    """Who was touched, what was forgotten, and what was left behind."""
    eventually(fleet.host.is_up, 30)
    now = fleet.pids()
    wrong = [
        f"{name} was touched: {pid} is {now.get(name)}"
        for name, pid in before.items()
        if name not in hit.programs and now.get(name) != pid
    ]
    wrong += [f"lost: {each}" for each in fleet.forgotten()]
    return wrong + [f"left behind: {each}" for each in left(fleet, things)]


def left(fleet: Fleet, things: set[str]) -> list[str]:
    found: set[str] = set()

    def is_clean() -> bool:
        found.clear()
        found.update(fleet.things() - things)
        return not found

    try:
        eventually(is_clean, LEFT_WITHIN_S, every_s=0.1)
    except AssertionError:
        return sorted(found)
    return []
