"""How long a worker takes from the request until it answers.

Ours is ``POST /foo/instances/`` until its 201. Its peers are the bare
``celery worker`` with the same flags, and with none, until it says ready.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import harness, peers
from benchmarks.figures import Table

LEAN_TARGETS = {"Valkey": 1.25, "RabbitMQ": 1.35}
DEFAULT_TARGET = 0.5
#: On a shared machine single starts differ by more than the target leaves.
PAIRS = 20


@dataclass(frozen=True)
class Samples:
    """Seconds, one of each a round."""

    ours: list[float] = field(default_factory=list)
    lean: list[float] = field(default_factory=list)
    default: list[float] = field(default_factory=list)


def main() -> None:
    pairs = harness.pairs_wanted(__doc__, PAIRS)
    for name, broker in harness.BROKERS.items():
        samples = Samples()
        with broker() as url, peer_folder(url) as place, harness.branch(url) as branch:
            # The first round warms what the others find warm.
            one_round(branch, place, Samples())
            for _ in range(pairs):
                one_round(branch, place, samples)
        report(name, samples)


@contextmanager
def peer_folder(broker: str) -> Iterator[Path]:
    with harness.folder() as place:
        peers.write_app(place, broker)
        yield place


def one_round(branch: harness.Branch, place: Path, samples: Samples) -> None:
    created: dict[str, Any] = {}
    seconds = harness.timed(lambda: created.update(branch.ask("POST", "/foo/instances/")))
    if created.get("ready") is not True:
        raise RuntimeError(f"stored, and not waited for: {created}")
    launched = branch.launch(created["name"])
    branch.ask("DELETE", f"/foo/instances/{created['name']}/")
    samples.ours.append(seconds)
    with peers.worker(peers.lean(launched["argv"], "peer@bench"), place) as (seconds, _):
        samples.lean.append(seconds)
    with peers.worker(peers.default(), place) as (seconds, _):
        samples.default.append(seconds)


def report(broker: str, samples: Samples) -> None:
    table = Table(f"start of a worker, {broker}")
    table.ours("ours: POST /foo/instances/ until 201", samples.ours)
    table.peer("celery worker, same flags", samples.lean, LEAN_TARGETS[broker])
    table.peer("celery worker, no flags", samples.default, DEFAULT_TARGET)
    table.print()


if __name__ == "__main__":
    main()
