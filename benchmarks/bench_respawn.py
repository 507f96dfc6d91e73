"""How long a worker that was killed is away.

Ours is kill -9 of a worker that supervisord counts as running, until the
next one answers a ping of remote control. The bench asks by itself, every 5
ms on a standing reply queue, from the moment that the worker's log says
ready: a ping goes to every worker, and asking them all from the start would
slow down what is measured. Its peers are the start of the bare ``celery
worker`` with the same flags until it says ready, and the same worker killed
under a stock supervisord.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

from benchmarks import harness, peers
from benchmarks.figures import Table
from tests.support import eventually

LEAN_TARGET = 1.4
#: Used one after the other: a worker must have run for ten seconds first.
WORKERS = 5
STOCK_WORKERS = ("s0", "s1")


@dataclass(frozen=True)
class Samples:
    """Seconds, one of each a round."""

    ours: list[float] = field(default_factory=list)
    lean: list[float] = field(default_factory=list)
    stock: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    branch: harness.Branch
    stock: peers.StockSupervisord
    caller: peers.Caller
    place: Path
    argv: list[str]

    def one_round(self, ours: str, stock: str, samples: Samples) -> None:
        pid = eventually(lambda: self.running_pid(ours), harness.DEADLINE_S, every_s=0.1)
        log = self.branch.paths.instances / ours / "worker.log"
        samples.ours.append(self.seconds_away(pid, self.node(ours), log))
        lean = peers.lean(self.argv, "peer@bench")
        with peers.worker(lean, self.place) as (seconds, _):
            samples.lean.append(seconds)
        self.stock.wait_until_running()
        pid = self.stock.programs()[stock]["pid"]
        samples.stock.append(self.seconds_away(pid, f"{stock}@bench", self.stock.log(stock)))

    def running_pid(self, name: str) -> int:
        """Its pid once it has run for ``startsecs`` and answers; until then 0."""
        details: dict[str, Any] = self.branch.ask("GET", f"/foo/instances/{name}/")
        is_settled = details["state"] == "RUNNING" and details["ready"]
        return int(details["pid"]) if is_settled else 0

    def node(self, name: str) -> str:
        argv: list[str] = self.branch.launch(name)["argv"]
        return argv[argv.index("-n") + 1]

    def seconds_away(self, pid: int, node: str, log: Path) -> float:
        def kill_and_wait() -> None:
            os.kill(pid, signal.SIGKILL)
            # Nothing that the old one may still say counts.
            wait_until_gone()
            peers.wait_until_logged(log, size)
            self.caller.wait_for(node)

        size = log.stat().st_size

        with harness.gone(pid) as wait_until_gone:
            return harness.timed(kill_and_wait)


def main() -> None:
    pairs = harness.pairs_wanted(__doc__)
    for name, broker in harness.BROKERS.items():
        samples = Samples()
        with broker() as url, prepared(url) as bench:
            ours, stock = cycle(f"w{number}" for number in range(WORKERS)), cycle(STOCK_WORKERS)
            for _ in range(pairs):
                bench.one_round(next(ours), next(stock), samples)
        report(name, samples)


@contextmanager
def prepared(broker: str) -> Iterator[Bench]:
    with ExitStack() as stack:
        place = stack.enter_context(harness.folder())
        peers.write_app(place, broker)
        branch = stack.enter_context(harness.branch(broker))
        for number in range(WORKERS):
            branch.ask("POST", f"/foo/instances/w{number}/")
        argv = branch.launch("w0")["argv"]
        programs = {name: peers.lean(argv, f"{name}@bench") for name in STOCK_WORKERS}
        stock = stack.enter_context(peers.stock(place, programs))
        caller = stack.enter_context(peers.Caller(broker))
        for name in STOCK_WORKERS:
            caller.wait_for(f"{name}@bench")
        yield Bench(branch, stock, caller, place, argv)


def report(broker: str, samples: Samples) -> None:
    table = Table(f"kill -9 of a worker until it answers again, {broker}")
    table.ours("ours: kill -9 until it answers", samples.ours)
    table.peer("start of celery worker, same flags", samples.lean, LEAN_TARGET)
    table.peer("stock supervisord: kill -9 until it answers", samples.stock)
    table.print()


if __name__ == "__main__":
    main()
