"""How many URLs one worker asks for in a second, of a server that answers at once.

All are queued before. Ours is one instance with one process on the URL task,
from the first request at the server until the last one was there and the
result of every task can be asked for. Its peers are a plain Celery worker
with the same flags whose task calls the same client directly: one that keeps
no results, and one that sends them to its broker.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from benchmarks import fetching, harness
from benchmarks.figures import Table
from tests.support import eventually

TARGET = 0.8
TASKS = 2000
BACKENDS = {"Valkey": None, "RabbitMQ": "rpc://"}


@dataclass(frozen=True)
class Samples:
    """Tasks per second, one of each a round."""

    ours: list[float] = field(default_factory=list)
    requests: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    kept: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    branch: harness.Branch
    server: fetching.Server
    bare: fetching.Plain
    kept: fetching.Plain

    def one_round(self, samples: Samples, count: int) -> None:
        self.ours(samples, count)
        samples.bare.append(self.bare.rate(self.server, count))
        samples.kept.append(self.kept.rate(self.server, count))

    def ours(self, samples: Samples, count: int) -> None:
        urls = json.dumps([{"url": self.server.url}] * count)
        uuids = self.branch.send("POST", "/foo/queue/tasks/", urls)["uuids"]
        self.server.expect(count)
        self.branch.ask("PUT", "/foo/instances/w1/queues/tasks/")
        first, last = self.server.wait()
        eventually(lambda: self.is_stored(uuids[-1]), harness.DEADLINE_S, every_s=0.005)
        stored = time.monotonic()
        for uuid in uuids:
            if not self.is_stored(uuid):
                raise RuntimeError(f"the last result is stored, and that of {uuid} is not")
        self.branch.ask("DELETE", "/foo/instances/w1/queues/tasks/")
        samples.ours.append(count / (stored - first))
        samples.requests.append(count / (last - first))

    def is_stored(self, uuid: str) -> bool:
        state: str = self.branch.ask("GET", f"/foo/query/{uuid}/state/")["state"]
        if state == "FAILURE":
            raise RuntimeError(self.branch.ask("GET", f"/foo/query/{uuid}/result/"))
        return state == "SUCCESS"


def main() -> None:
    pairs = harness.pairs_wanted(__doc__)
    for name, broker in harness.BROKERS.items():
        samples = Samples()
        with broker() as url, prepared(url, BACKENDS[name] or url) as bench:
            # The first round warms what the others find warm.
            bench.one_round(Samples(), TASKS // 10)
            for _ in range(pairs):
                bench.one_round(samples, TASKS)
        report(name, samples)


@contextmanager
def prepared(broker: str, backend: str) -> Iterator[Bench]:
    with ExitStack() as stack:
        server = stack.enter_context(fetching.server())
        branch = stack.enter_context(harness.branch(broker))
        branch.ask("PUT", "/foo/queues/tasks/")
        branch.ask("PUT", "/foo/instances/w1/")
        argv = branch.launch("w1")["argv"]
        bare = stack.enter_context(fetching.plain(broker, None, argv, "bare"))
        kept = stack.enter_context(fetching.plain(broker, backend, argv, "kept"))
        yield Bench(branch, server, bare, kept)


def report(broker: str, samples: Samples) -> None:
    table = Table(f"URLs asked for by one worker, {broker}", "/s", 0, more_is_better=True)
    table.ours("ours: until the last result is stored", samples.ours)
    table.part("  until the last request", samples.requests)
    table.peer("celery worker, same client", samples.bare, TARGET)
    table.peer("the same, results to its broker", samples.kept)
    table.print()


if __name__ == "__main__":
    main()
