"""What a branch costs while nothing happens.

Ten instances at rest: the processor time and the memory (PSS) of
supervisord, branch and web. Its peer is a stock supervisord with the same
ten workers, which keeps nothing but their processes; both are measured at
the same time. The workers themselves are in neither. A pair is a window of
ten seconds: two full passes of the reconciler.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from benchmarks import harness, peers
from benchmarks.costs import Pids, busy, pss_mb, tree
from benchmarks.figures import Table

INSTANCES = 10
WINDOW_S = 10.0
#: After the last start, until the starts are over for everybody.
SETTLE_S = 15.0
CPU_PERCENT = 0.6
PSS_MB = 250.0


@dataclass(frozen=True)
class Samples:
    """By process: percent of a core, and MB; one of each a window."""

    cpu: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    pss: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def totals(self) -> tuple[list[float], list[float]]:
        return _sums(self.cpu), _sums(self.pss)


def main() -> None:
    pairs = harness.pairs_wanted(__doc__)
    ours, stock = Samples(), Samples()
    with harness.valkey() as broker, prepared(broker) as (our_pids, stock_pids):
        time.sleep(SETTLE_S)
        for _ in range(pairs):
            measure([(our_pids, ours), (stock_pids, stock)])
    report(ours, stock)


@contextmanager
def prepared(broker: str) -> Iterator[tuple[Pids, Pids]]:
    """Pids by name, of ours and of the stock supervisord's, with all workers up."""
    with ExitStack() as stack:
        branch = stack.enter_context(harness.branch(broker))
        for number in range(INSTANCES):
            branch.ask("POST", f"/foo/instances/w{number}/")
        argv = branch.launch("w0")["argv"]
        place = stack.enter_context(harness.folder())
        peers.write_app(place, broker)
        programs = {
            f"s{number}": peers.lean(argv, f"s{number}@bench") for number in range(INSTANCES)
        }
        stock = stack.enter_context(peers.stock(place, programs))
        yield tree(branch), {"supervisord": stock.process.pid}


def measure(sides: list[tuple[Pids, Samples]]) -> None:
    """One window of both at once."""
    before = [(time.perf_counter(), busy(pids)) for pids, _ in sides]
    time.sleep(WINDOW_S)
    for (pids, samples), (begun, earlier) in zip(sides, before, strict=True):
        elapsed = time.perf_counter() - begun
        for name, seconds in busy(pids).items():
            samples.cpu[name].append(100 * (seconds - earlier[name]) / elapsed)
    for pids, samples in sides:
        for name, pid in pids.items():
            samples.pss[name].append(pss_mb(pid))


def report(ours: Samples, stock: Samples) -> None:
    our_totals, stock_totals = ours.totals(), stock.totals()
    for unit, mine, theirs, parts, limit in (
        ("%", our_totals[0], stock_totals[0], ours.cpu, CPU_PERCENT),
        ("MB", our_totals[1], stock_totals[1], ours.pss, PSS_MB),
    ):
        what = "processor, % of a core" if unit == "%" else "memory, PSS"
        digits = 3 if unit == "%" else 1
        table = Table(f"idle with {INSTANCES} instances: {what}", unit, digits)
        table.ours("ours: supervisord + branch + web", mine)
        table.limit("limit", limit)
        table.peer("stock supervisord", theirs)
        for name, samples in parts.items():
            table.part(f"  of ours: {name}", samples)
        table.print()


def _sums(parts: Mapping[str, list[float]]) -> list[float]:
    return [sum(window) for window in zip(*parts.values(), strict=True)]


if __name__ == "__main__":
    main()
