"""How long a worker takes from the request until it consumes from a queue.

Ours is ``PUT /foo/instances/w1/queues/<queue>/`` until its 201 is here and
the worker has said, asked by the bench itself over remote control, that it
consumes from the queue. Its peer is Celery's own ``control.add_consumer`` to
a bare worker with the same flags, until that says the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import quantiles
from time import perf_counter

from celery import Celery

from benchmarks import harness, peers
from benchmarks.figures import Table

MOST_S = 0.150
PAIRS = 20
NODE = "peer@bench"


@dataclass(frozen=True)
class Samples:
    """Seconds, one of each a round."""

    ours: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    branch: harness.Branch
    caller: peers.Caller
    app: Celery
    node: str

    def one_round(self, queue: str, samples: Samples) -> None:
        """Each is given a queue that nobody has heard of, and loses it again."""
        self.branch.ask("PUT", f"/foo/queues/{queue}/")
        self.ours(queue, samples)
        self.branch.ask("DELETE", f"/foo/instances/w1/queues/{queue}/")
        samples.peer.append(harness.timed(lambda: self.peer(f"{queue}-peer")))
        self.app.control.cancel_consumer(f"{queue}-peer", destination=[NODE], reply=True)

    def ours(self, queue: str, samples: Samples) -> None:
        begun = perf_counter()
        self.branch.ask("PUT", f"/foo/instances/w1/queues/{queue}/")
        samples.answered.append(perf_counter() - begun)
        self.caller.wait_until_consumed(queue, self.node)
        samples.ours.append(perf_counter() - begun)

    def peer(self, queue: str) -> None:
        self.app.control.add_consumer(queue, destination=[NODE], reply=True)
        self.caller.wait_until_consumed(queue, NODE)


def main() -> None:
    pairs = harness.pairs_wanted(__doc__, PAIRS)
    for name, broker in harness.BROKERS.items():
        samples = Samples()
        with broker() as url, prepared(url) as bench:
            # The first round warms what the others find warm.
            bench.one_round("warm", Samples())
            for number in range(pairs):
                bench.one_round(f"q{number}", samples)
        report(name, samples)


@contextmanager
def prepared(broker: str) -> Iterator[Bench]:
    with ExitStack() as stack:
        place = stack.enter_context(harness.folder())
        peers.write_app(place, broker)
        branch = stack.enter_context(harness.branch(broker))
        branch.ask("PUT", "/foo/instances/w1/")
        argv = branch.launch("w1")["argv"]
        stack.enter_context(peers.worker(peers.lean(argv, NODE), place))
        caller = stack.enter_context(peers.Caller(broker))
        app = stack.enter_context(Celery("bench", broker=broker, set_as_current=False))
        yield Bench(branch, caller, app, argv[argv.index("-n") + 1])


def report(broker: str, samples: Samples) -> None:
    table = Table(f"consume request until the worker consumes, {broker}")
    table.ours("ours: PUT until 201, and the worker says so", samples.ours)
    table.part("  nine of ten within", [quantiles(samples.ours, n=10, method="inclusive")[-1]])
    table.part("  PUT until 201 alone", samples.answered)
    table.limit("  at most", MOST_S)
    table.peer("control.add_consumer, and the worker says so", samples.peer)
    table.print()


if __name__ == "__main__":
    main()
