"""How long until a page that is open shows what happened to a worker on its host.

A real browser has the page of the instance; what changes in it is noted at
the moment by the page itself, by the clock that the bench has, too. Ours is the
time from kill -9 of a worker, and from the end of one that supervisord is told
to stop, until its process is no longer on the page. The peer is Flower's page
of workers, of a worker under a stock supervisord that is told to stop: the
worker tells Flower when it begins to, and the page asks every second. Of one
that is killed Flower hears nothing until its heartbeats are missed.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from benchmarks import harness, peers, publishers
from benchmarks.figures import Table
from tests.browser import Browser, browser
from tests.support import eventually

#: Seconds, for a change on the host.
MOST_S = 1.0
#: Used one after the other: a worker must have run for ten seconds first.
WORKERS = 5
_WATCH = """
const [place, word] = arguments;
const look = () => {
  if (window.shownAt === 0 && !document.querySelector(place).innerText.includes(word))
    window.shownAt = Date.now();
};
window.shownAt = 0;
new MutationObserver(look).observe(
  document.body, { subtree: true, childList: true, characterData: true });
return document.querySelector(place).innerText.includes(word);
"""


@dataclass(frozen=True)
class Times:
    """Seconds, from what is done to a worker."""

    until_shown: float
    until_ended: float


@dataclass(frozen=True)
class Samples:
    """One of each a round."""

    killed: list[Times] = field(default_factory=list)
    stopped: list[Times] = field(default_factory=list)
    flower: list[Times] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    branch: harness.Branch
    ours: Browser
    stock: peers.StockSupervisord
    flowers: Browser

    def one_round(self, killed: str, stopped: str, samples: Samples) -> None:
        samples.killed.append(self.until_we_show(killed, lambda pid: os.kill(pid, signal.SIGKILL)))
        stop = ("supervisor.stopProcess", stopped, False)
        samples.stopped.append(
            self.until_we_show(stopped, lambda _: self.branch.supervisord.call(*stop))
        )
        samples.flower.append(self.until_flower_shows())

    def until_we_show(self, name: str, act: Callable[[int], Any]) -> Times:
        pid = eventually(lambda: self.settled(name), harness.DEADLINE_S, every_s=0.1)
        self.ours.open(f"/admin/instances/foo/{name}/")
        watch(self.ours, "main", f"process {pid}")
        return until_shown(self.ours, pid, lambda: act(pid))

    def settled(self, name: str) -> int:
        """Its pid once it has run for ``startsecs`` and answers; until then 0."""
        details: dict[str, Any] = self.branch.ask("GET", f"/foo/instances/{name}/")
        return int(details["pid"]) if details["state"] == "RUNNING" and details["ready"] else 0

    def until_flower_shows(self) -> Times:
        self.stock.wait_until_running()
        pid = self.stock.programs()["s0"]["pid"]
        watch(self.flowers, "#workers-online", "1")
        stop = ("supervisor.stopProcess", "s0", False)
        found = until_shown(self.flowers, pid, lambda: self.stock.call(*stop))
        self.stock.call("supervisor.startProcess", "s0")
        return found


def watch(browser: Browser, place: str, word: str) -> None:
    """Have the page note when *word* is gone from that place of it."""
    eventually(lambda: browser.run(_WATCH, place, word), harness.DEADLINE_S, every_s=0.1)


def until_shown(browser: Browser, pid: int, act: Callable[[], Any]) -> Times:
    """Have the process *pid* end by *act*, and wait until the page has noted that."""
    with harness.gone(pid) as wait_until_gone:
        begun_at = time.time()
        act()
        wait_until_gone()
        ended_at = time.time()
    shown_at = eventually(
        lambda: browser.run("return window.shownAt"), harness.DEADLINE_S, every_s=0.1
    )
    return Times(float(shown_at) / 1000 - begun_at, ended_at - begun_at)


def main() -> None:
    pairs = harness.pairs_wanted(__doc__)
    samples = Samples()
    with prepared() as bench:
        names = cycle(f"w{number}" for number in range(WORKERS))
        for _ in range(pairs):
            bench.one_round(next(names), next(names), samples)
    report(samples)


@contextmanager
def prepared() -> Iterator[Bench]:
    with ExitStack() as stack:
        place = stack.enter_context(harness.folder())
        # One each: Flower counts all workers that it hears of.
        own, theirs = (stack.enter_context(harness.valkey()) for _ in range(2))
        publishers.write_app(place, theirs)
        branch = stack.enter_context(harness.branch(own))
        for number in range(WORKERS):
            branch.ask("POST", f"/foo/instances/w{number}/")
        stock = stack.enter_context(
            peers.stock(place, {"s0": [*peers.default(), "-n", "s0@bench"]})
        )
        flower = stack.enter_context(publishers.flower(place))
        ours = stack.enter_context(browser(f"http://127.0.0.1:{branch.port}"))
        flowers = stack.enter_context(browser(f"http://127.0.0.1:{flower.port}"))
        flowers.open("/workers")
        yield Bench(branch, ours, stock, flowers)


def report(samples: Samples) -> None:
    table = Table("kill -9 of a worker until an open page shows it")
    table.ours("ours: until it is shown", shown(samples.killed))
    table.limit("a change on the host", MOST_S)
    table.print()
    late = [each.until_shown - each.until_ended for each in samples.stopped]
    table = Table("a worker that supervisord stops, from its end until an open page shows it")
    table.ours("ours: until it is shown", late)
    table.limit("a change on the host", MOST_S)
    table.print()
    table = Table("the same, from when supervisord is told")
    table.ours("ours: until its end is shown", shown(samples.stopped))
    table.part("its end", [each.until_ended for each in samples.stopped])
    table.peer("Flower: until it says offline, at its beginning", shown(samples.flower))
    table.part("its end", [each.until_ended for each in samples.flower])
    table.print()


def shown(all: Sequence[Times]) -> list[float]:
    return [each.until_shown for each in all]


if __name__ == "__main__":
    main()
