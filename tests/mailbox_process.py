"""A branch in a process of its own, to be stopped and killed: its broker and fleet as arguments.

It counts what it is asked, asks the branch ``slow`` for something that takes
long, and says so.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from cyme_supd.errors import CymeError
from tests.mailboxes import Posts
from tests.support import eventually

asked: list[object] = []


def count(arguments: Mapping[str, Any], deadline_s: float) -> int:
    asked.append(arguments)
    return len(asked)


def hang(arguments: Mapping[str, Any], deadline_s: float) -> None:
    print("asked", flush=True)
    threading.Event().wait()


def main(broker: str, fleet: str) -> None:
    with Posts(broker, fleet) as posts:
        post = posts.branch("process", {"count": count, "hang": hang})
        eventually(lambda: "process" in post.peers())
        print("up", flush=True)
        while True:
            with suppress(CymeError):
                post.ask("slow", "slow", {}, 60.0)
            threading.Event().wait(0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])
