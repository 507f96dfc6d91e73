"""Processes that hear heartbeats: ``python -m benchmarks.hearing BROKER FLEET COUNT``.

Each is a line to the broker and a table of who is there, as in every process of
a branch; this one plays *COUNT* of them. For a line of its input it says how
many it has heard.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from cyme_supd.clock import SystemClock
from cyme_supd.mailbox.heartbeats import Hearing
from cyme_supd.mailbox.line import Line
from cyme_supd.mailbox.wire import Kind, Message, Wire
from tests.support import eventually


@dataclass
class Ear:
    """Used by its line's one thread."""

    hearing: Hearing
    heard: int = 0

    def hear(self, message: Message) -> None:
        if message.kind is Kind.HEARTBEAT:
            self.hearing.hear(message)
            self.heard += 1


def main(broker: str, fleet: str, count: int) -> None:
    clock, wire = SystemClock(), Wire(broker, fleet)
    ears = [Ear(Hearing(clock)) for _ in range(count)]
    lines = [
        Line(broker, wire, clock, False, ear.hear, _nothing, _nothing, _nothing) for ear in ears
    ]
    for line in lines:
        line.start()
    eventually(lambda: all(line.is_up for line in lines), 60)
    print("ready", flush=True)
    while sys.stdin.readline():
        print(sum(ear.heard for ear in ears), flush=True)
    for line in lines:
        line.stop()


def _nothing(_: str) -> None:
    """Of no concern here."""


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
