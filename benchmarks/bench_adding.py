"""What it costs supervisord to take one more program.

Ours is the extension's ``applyPrograms`` and ``startPrograms``, beside 2,000
running programs and beside ten; supervisord is deaf while it answers, so the
calls' time is what everybody else waits. Its peer is a stock supervisord
with as many programs, each in a file of its own as ours are, which reads all
of them again; and, once, with all but the new one in a single file. The
programs are ``sleep``: what counts is how many there are.

Before that, how long each supervisord takes from its start until it answers
that all of them have a process.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import harness, peers
from benchmarks.figures import Table
from cyme_supd.errors import CymeError, Unavailable
from cyme_supd.supervisord.conf import Tree, descriptors_for, render_supervisord_conf
from cyme_supd.supervisord.rendering import encode
from tests.support import eventually
from tests.tree import PASSWORD, SupervisedTree

MANY, FEW = 2000, 10
MINFDS = descriptors_for(MANY + 400)
SLEEP = "/bin/sleep inf"
IN_SUPERVISORD_S = 0.05
BESIDE_FEW_TARGET = 10.0
STOCK_TARGET = 1 / 50
BOOT_S = 25.0
#: As long as it takes for every program to count as running.
SETTLE_S = 12.0


@dataclass(frozen=True)
class Samples:
    """Seconds, one of each a round."""

    apply: list[float] = field(default_factory=list)
    start: list[float] = field(default_factory=list)

    def totals(self) -> list[float]:
        return [sum(both) for both in zip(self.apply, self.start, strict=True)]


class Sleepers:
    """A supervisord with the extension and *count* programs that sleep."""

    def __init__(self, place: Path, count: int) -> None:
        self._tree = SupervisedTree(place)
        conf = render_supervisord_conf(
            Tree(place, PASSWORD, (), descriptors=descriptors_for(MANY + 400))
        )
        self._tree.paths.supervisord_conf.write_bytes(encode(conf))
        for number in range(count):
            self._write(f"s{number}", is_started="true")
        self._added = 0
        self.boot_s = harness.timed(lambda: self._boot(count))

    def _boot(self, count: int) -> None:
        self._tree.start(within_s=harness.DEADLINE_S)
        eventually(lambda: self._count("pid") == count, harness.DEADLINE_S, every_s=0.1)

    def add(self, samples: Samples) -> None:
        name = f"added{self._added}"
        self._added += 1
        self._write(name, is_started="false")
        client = self._tree.client
        samples.apply.append(harness.timed(lambda: client.apply([name])))
        samples.start.append(harness.timed(lambda: client.start([name])))

    def _write(self, name: str, is_started: str) -> None:
        sections = self._tree.sections
        sections.write(name, 10)
        content = sections.read(name) or b""
        lines = content.decode().splitlines()
        kept = [line for line in lines if not line.startswith(("command=", "autostart="))]
        more = [f"command={SLEEP}", f"autostart={is_started}"]
        sections.restore(name, "\n".join([*kept, *more, ""]).encode())

    def wait_until_running(self, count: int) -> None:
        eventually(
            lambda: self._count("state", "RUNNING") >= count, harness.DEADLINE_S, every_s=0.5
        )

    def _count(self, key: str, value: str | None = None) -> int:
        """Programs with that value, or any."""
        try:
            answer = self._tree.client.changes("", 0)
        except Unavailable:
            # It starts them all in one turn, and answers nobody meanwhile.
            return 0
        assert answer is not None
        found = [one[key] for one in answer["programs"]]
        return sum(bool(one) if value is None else one == value for one in found)

    def end(self) -> None:
        self._tree.end()


class Stock:
    """A plain supervisord with as many, and a folder to put one more into."""

    def __init__(self, place: Path, is_single: bool) -> None:
        self._more = place / "more"
        self._more.mkdir()
        (self._more / "none.conf").write_text("")
        programs = {f"s{number}": SLEEP.split() for number in range(MANY if is_single else 0)}
        for number in range(0 if is_single else MANY):
            self._write(f"s{number}")
        extra = f"[supervisord]\nminfds={MINFDS}\n[include]\nfiles={self._more}/*.conf\n"
        begun = time.perf_counter()
        self._supervisord = peers.StockSupervisord(place, programs, extra)
        eventually(self._is_up, 4 * harness.DEADLINE_S, every_s=0.1)
        self.boot_s = time.perf_counter() - begun
        self._added = 0

    def wait_until_running(self) -> None:
        self._supervisord.wait_until_running()

    def _is_up(self) -> bool:
        try:
            return all(one["pid"] for one in self._supervisord.programs().values())
        except CymeError:
            return False

    def add(self) -> float:
        name = f"added{self._added}"
        self._added += 1
        self._write(name)

        def reload_and_add() -> None:
            self._supervisord.call("supervisor.reloadConfig")
            self._supervisord.call("supervisor.addProcessGroup", name)

        return harness.timed(reload_and_add)

    def _write(self, name: str) -> None:
        (self._more / f"{name}.conf").write_text(f"[program:{name}]\ncommand={SLEEP}\n")

    def end(self) -> None:
        self._supervisord.end()


def main() -> None:
    pairs = harness.pairs_wanted(__doc__)
    many, few, stock = Samples(), Samples(), []
    with prepared() as (beside_many, beside_few, peer):
        report_boot(beside_many.boot_s, peer.boot_s)
        for _ in range(pairs):
            beside_many.add(many)
            beside_few.add(few)
            stock.append(peer.add())
    with stock_beside(is_single=True) as peer:
        single = [peer.add() for _ in range(pairs)]
    report(many, few, stock, single)


@contextmanager
def prepared() -> Iterator[tuple[Sleepers, Sleepers, Stock]]:
    """All three, each with its programs running."""
    with ExitStack() as stack:
        beside_many = Sleepers(stack.enter_context(harness.folder()), MANY)
        stack.callback(beside_many.end)
        beside_many.wait_until_running(MANY)
        beside_few = Sleepers(stack.enter_context(harness.folder()), FEW)
        stack.callback(beside_few.end)
        stock = stack.enter_context(stock_beside(is_single=False))
        yield beside_many, beside_few, stock


@contextmanager
def stock_beside(is_single: bool) -> Iterator[Stock]:
    with harness.folder() as place:
        stock = Stock(place, is_single)
        try:
            stock.wait_until_running()
            time.sleep(SETTLE_S)
            yield stock
        finally:
            stock.end()


def report_boot(ours: float, stock: float) -> None:
    table = Table(f"start with {MANY} programs until it answers that they are up")
    table.ours("ours", [ours])
    table.limit("limit", BOOT_S)
    table.peer("stock supervisord", [stock])
    table.print()


def report(many: Samples, few: Samples, stock: list[float], single: list[float]) -> None:
    table = Table(f"one more program beside {MANY} that run", digits=4)
    table.ours("ours: apply and start", many.totals())
    table.limit("limit", IN_SUPERVISORD_S)
    table.peer(f"the same beside {FEW}", few.totals(), BESIDE_FEW_TARGET)
    table.peer("stock: reloadConfig and addProcessGroup", stock, STOCK_TARGET)
    table.peer("the same, all in one file", single)
    table.part("  of ours: apply", many.apply)
    table.part("  of ours: start", many.start)
    table.part(f"  beside {FEW}: apply", few.apply)
    table.part(f"  beside {FEW}: start", few.start)
    table.print()


if __name__ == "__main__":
    main()
