"""A hundred workers at once, and twenty of them killed at once.

Ours are asked for in one loop of ``POST /<app>/instances/!/``; the time is
from the first of these until the last worker is ready. Then some are killed
with SIGKILL, all at once, until each is back and ready, and the others must be
the processes they were. The peer is a script that starts the same lean
workers as fast as the machine can: twice as many at a time as it has
processors, each until it says that it is ready.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import harness, peers
from benchmarks.figures import Table
from cyme_supd.config import load
from cyme_supd.store.engine import database_url
from cyme_supd.store.repository import SqlStore
from tests.support import eventually

WORKERS = 100
KILLED = 20
ASKED_TARGET = 1.3
KILLED_TARGET = 1.5
LONGEST_S = 600.0


@dataclass(frozen=True)
class Samples:
    """Seconds, one of each a round; ``touched`` counts healthy ones restarted."""

    asked: list[float] = field(default_factory=list)
    killed: list[float] = field(default_factory=list)
    by_hand: list[float] = field(default_factory=list)
    some_by_hand: list[float] = field(default_factory=list)
    touched: list[float] = field(default_factory=list)


class Fleet:
    """The instances of a branch, seen in its store."""

    def __init__(self, branch: harness.Branch, names: Sequence[str]) -> None:
        config = load(branch.paths.root)
        self._branch = branch
        self._id = config.id
        self._names = names
        self._store = SqlStore(database_url(config), config.broker)

    def ask_and_wait(self) -> None:
        for name in self._names:
            self._branch.ask("POST", f"/foo/instances/!/{name}/")
        eventually(lambda: len(self.pids()) == len(self._names), LONGEST_S, every_s=0.05)

    def kill_and_wait(self, before: Mapping[str, int], victims: Sequence[str]) -> None:
        for name in victims:
            os.kill(before[name], signal.SIGKILL)
        eventually(lambda: self._are_back(before, victims), LONGEST_S, every_s=0.05)

    def _are_back(self, before: Mapping[str, int], victims: Sequence[str]) -> bool:
        now = self.pids()
        return all(now.get(name, before[name]) != before[name] for name in victims)

    def pids(self) -> dict[str, int]:
        """Of those that are ready."""
        with self._store.reading() as view:
            statuses = view.statuses(self._id).values()
        return {each.name: each.pid for each in statuses if each.ready and each.pid}

    def close(self) -> None:
        self._store.close()


def main() -> None:
    numbers = harness.wanted(__doc__, pairs=3, workers=WORKERS, killed=KILLED)
    samples = Samples()
    with harness.valkey() as broker:
        for _ in range(numbers["pairs"]):
            argv = ours(broker, numbers["workers"], numbers["killed"], samples)
            by_hand(broker, argv, numbers["workers"], numbers["killed"], samples)
    report(numbers["workers"], numbers["killed"], samples)


def ours(broker: str, workers: int, killed: int, samples: Samples) -> list[str]:
    """One round on a new branch; the words that its workers are started with."""
    names = [f"w{number}" for number in range(workers)]
    with harness.branch(broker) as branch:
        fleet = Fleet(branch, names)
        samples.asked.append(harness.timed(fleet.ask_and_wait))
        before, victims = fleet.pids(), names[:killed]
        samples.killed.append(harness.timed(lambda: fleet.kill_and_wait(before, victims)))
        after = fleet.pids()
        samples.touched.append(sum(before[name] != after.get(name) for name in names[killed:]))
        fleet.close()
        argv: list[str] = branch.launch("w0")["argv"]
        return argv


def by_hand(broker: str, argv: list[str], workers: int, killed: int, samples: Samples) -> None:
    """As many without Cyme; some are ended and started again beside the others."""
    with harness.folder() as place, ending() as processes:
        peers.write_app(place, broker)
        names = [f"s{number}" for number in range(workers)]
        samples.by_hand.append(harness.timed(lambda: start(argv, names, place, processes)))
        for process in processes[:killed]:
            process.kill()
            process.wait()
        again = [f"t{number}" for number in range(killed)]
        samples.some_by_hand.append(harness.timed(lambda: start(argv, again, place, processes)))


Processes = list["subprocess.Popen[bytes]"]


@contextmanager
def ending() -> Iterator[Processes]:
    processes: Processes = []
    try:
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            harness.end(process)


def start(argv: Sequence[str], names: Sequence[str], place: Path, processes: Processes) -> None:
    """All of them, so many at a time, until the last says that it is ready."""

    def one(name: str) -> None:
        log = place / f"{name}.log"
        words = peers.lean(argv, f"{name}@bench")
        processes.append(harness.start(words, place, log, has_session=False))
        peers.wait_until_logged(log, 0)

    with ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
        list(pool.map(one, names))


def report(workers: int, killed: int, samples: Samples) -> None:
    table = Table(f"{workers} workers asked for in one loop, Valkey", digits=1)
    table.ours("ours: until the last is ready", samples.asked)
    table.peer("the same started by hand", samples.by_hand, ASKED_TARGET)
    table.print()
    table = Table(f"{killed} of {workers} killed at once, Valkey", digits=1)
    table.ours("ours: until the last is back", samples.killed)
    table.peer("as many started by hand", samples.some_by_hand, KILLED_TARGET)
    table.print()
    table = Table("healthy ones among the others that were restarted", "", 0)
    table.ours("ours", samples.touched)
    table.limit("limit", 0)
    table.print()


if __name__ == "__main__":
    main()
