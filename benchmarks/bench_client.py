"""What importing the client costs, and ``cyme --help``: beside a Python that does nothing.

Whole processes. Their difference, pair by pair, is what each adds. Beside the
client what a program pays that makes a call, for which the HTTP library is
imported; and ``celery --help``, which people wait for today.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import harness
from benchmarks.figures import Table

#: Short, and on a shared machine every other one is disturbed.
PAIRS = 30
MOST_MS = 60.0
MOST_COMMAND_MS = 150.0

BARE = (sys.executable, "-c", "pass")
CLIENT = (sys.executable, "-c", "import cyme_supd.client")
COMMAND = (str(Path(sys.executable).parent / "cyme"), "--help")
CALLING = (sys.executable, "-c", "import cyme_supd.client, cyme_supd.client.exchange")


@dataclass(frozen=True)
class Samples:
    """Milliseconds of whole processes, one of each a round."""

    bare: list[float] = field(default_factory=list)
    client: list[float] = field(default_factory=list)
    calling: list[float] = field(default_factory=list)
    command: list[float] = field(default_factory=list)
    celery: list[float] = field(default_factory=list)


def main() -> None:
    pairs = harness.pairs_wanted(__doc__, PAIRS)
    # The first round warms what the others find warm.
    one_round(Samples())
    samples = Samples()
    for _ in range(pairs):
        one_round(samples)
    report(samples)


def one_round(samples: Samples) -> None:
    samples.bare.append(run(BARE))
    samples.client.append(run(CLIENT))
    samples.calling.append(run(CALLING))
    samples.command.append(run(COMMAND))
    samples.celery.append(run((harness.celery(), "--help")))


def run(argv: Sequence[str]) -> float:
    """Milliseconds from the start of a process until its end."""
    begun = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - begun) * 1000


def report(samples: Samples) -> None:
    added = Table("import cyme_supd.client, beyond a bare Python", unit="ms", digits=1)
    added.ours("the client", beyond(samples.client, samples.bare))
    added.limit("most", MOST_MS)
    added.part("with the HTTP library, as at the first call", beyond(samples.calling, samples.bare))
    added.print()
    command = Table("cyme --help, beyond a bare Python", unit="ms", digits=1)
    command.ours("cyme --help", beyond(samples.command, samples.bare))
    command.limit("most", MOST_COMMAND_MS)
    command.peer("celery --help", beyond(samples.celery, samples.bare))
    command.print()
    whole = Table("import cyme_supd.client, the whole process", unit="ms", digits=1)
    whole.ours("the client", samples.client)
    whole.peer("a bare Python", samples.bare)
    whole.peer("celery --help", samples.celery)
    whole.print()


def beyond(some: Sequence[float], bare: Sequence[float]) -> list[float]:
    return [one - other for one, other in zip(some, bare, strict=True)]


if __name__ == "__main__":
    main()
