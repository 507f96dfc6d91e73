"""How many URLs are queued in a second.

One by one: ``POST /foo/queue/tasks/<url>`` over eight connections that are
kept, beside Flower's ``POST /api/task/async-apply/<task>`` with the same
arguments on the same broker. In lists of ten thousand: ``POST
/foo/queue/tasks/``, beside Celery's own ``apply_async`` in a loop. Every
answer is checked, and that as many messages as were asked for lie in the
queue afterwards; nobody consumes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks import harness, load, publishers
from benchmarks.figures import Table
from benchmarks.queues import Queues
from tests import services

SINGLE_TARGET = 2.0
LIST_TARGET = 1.0
REQUESTS = 2000
#: Until every thread of every process has its connection to the broker.
WARMING = 1000
URLS = 10_000
QUEUE = "tasks"


@dataclass(frozen=True)
class Samples:
    """URLs per second, one of each a round."""

    ours: list[float] = field(default_factory=list)
    flower: list[float] = field(default_factory=list)
    lists: list[float] = field(default_factory=list)
    loop: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    branch: harness.Branch
    flower: publishers.Flower
    loop: publishers.Loop
    queues: Queues
    url: str
    arguments: tuple[Sequence[Any], Mapping[str, Any]]

    def one_round(self, samples: Samples, requests: int, urls: int) -> None:
        samples.ours.append(self.ours(requests))
        samples.flower.append(self.flowers(requests))
        samples.lists.append(urls / self.seconds_of_list(urls))
        samples.loop.append(urls / self.seconds_of_loop(urls))

    def ours(self, count: int) -> float:
        wanted = load.request(self.branch.port, f"/foo/queue/{QUEUE}/{self.url}")
        rate = load.rate(self.branch.port, wanted, 202, count)
        self.queues.take_all(QUEUE, count)
        return rate

    def flowers(self, count: int) -> float:
        rate = load.rate(self.flower.port, self.flower.request(*self.arguments), 200, count)
        self.queues.take_all(publishers.QUEUE, count)
        return rate

    def seconds_of_list(self, count: int) -> float:
        urls = json.dumps([{"url": self.url, "method": "POST"}] * count)
        seconds = harness.timed(lambda: self.branch.send("POST", f"/foo/queue/{QUEUE}/", urls))
        self.queues.take_all(QUEUE, count)
        return seconds

    def seconds_of_loop(self, count: int) -> float:
        seconds = harness.timed(lambda: self.loop.run(*self.arguments, count))
        self.queues.take_all(publishers.QUEUE, count)
        return seconds


def main() -> None:
    pairs = harness.pairs_wanted(__doc__)
    for name, broker in harness.BROKERS.items():
        samples = Samples()
        with broker() as url, prepared(url) as bench:
            # The first round warms what the others find warm.
            bench.one_round(Samples(), WARMING, WARMING)
            for _ in range(pairs):
                bench.one_round(samples, REQUESTS, URLS)
        report(name, samples)


@contextmanager
def prepared(broker: str) -> Iterator[Bench]:
    with ExitStack() as stack:
        place = stack.enter_context(harness.folder())
        publishers.write_app(place, broker)
        branch = stack.enter_context(harness.branch(broker))
        flower = stack.enter_context(publishers.flower(place))
        loop = stack.enter_context(publishers.loop(broker))
        queues = stack.enter_context(Queues(broker))
        # Where nobody listens: nobody is to be asked.
        url = f"http://127.0.0.1:{services.free_port()}/x"
        branch.ask("PUT", f"/foo/queues/{QUEUE}/")
        branch.ask("POST", f"/foo/queue/{QUEUE}/{url}")
        yield Bench(branch, flower, loop, queues, url, queues.arguments(QUEUE))


def report(broker: str, samples: Samples) -> None:
    singles = Table(f"URLs queued one by one, {broker}", "/s", 0, more_is_better=True)
    singles.ours(f"ours: POST of one URL, {load.CONNECTIONS} connections", samples.ours)
    singles.peer("Flower: async-apply, the same", samples.flower, SINGLE_TARGET)
    singles.print()
    lists = Table(f"URLs queued in lists of {URLS}, {broker}", "/s", 0, more_is_better=True)
    lists.ours("ours: POST of a list", samples.lists)
    lists.peer("Celery: apply_async in a loop", samples.loop, LIST_TARGET)
    lists.print()


if __name__ == "__main__":
    main()
