"""Workers that are nothing but mailboxes: ``python -m benchmarks.nodes``.

Each is a real pidbox node on a channel of its own, and answers ``cyme_look``
as a worker that is as it should be: with the pid of the process that
supervisord runs under its name. One process plays many.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from kombu import Connection
from kombu.pidbox import Mailbox, Node

from cyme_supd.config import Paths
from cyme_supd.domain.naming import direct_queue

LOOK = "cyme_look"
Replies = deque[Callable[[], object]]


class Mute(Node):  # type: ignore[misc]
    """Says nothing before its process is there."""

    def __init__(
        self, name: str, paths: Paths, heard: Path | None, replies: Replies, **more: Any
    ) -> None:
        super().__init__(handlers={LOOK: self.look}, **more)
        self._replies = replies
        self._name = name
        self._running = paths.instances / name / "running.json"
        self._heard = heard
        self._pid = 0

    def look(self, _state: Any) -> dict[str, Any]:
        own = {direct_queue(self._name): ""}
        return {"pid": self._pid, "autoscale": [1, 1], "queues": own, "refused": {}}

    def reply(self, *args: Any, **more: Any) -> None:
        # Not at once: to publish reads from the connection, and so would call
        # the next node, for as many as have been asked.
        self._replies.append(partial(super().reply, *args, **more))

    def handle_message(self, body: Any, message: Any = None) -> Any:
        if self._heard is not None:
            with self._heard.open("a") as file:
                print(time.monotonic(), body["method"], file=file)
        if not self._pid:
            with suppress(FileNotFoundError, ValueError):
                self._pid = int(json.loads(self._running.read_text())["pid"])
        return super().handle_message(body, message) if self._pid else None


def play(broker: str, branch: str, root: str, names: Sequence[str]) -> None:
    """Play the instances *names* until the end; the first notes what it hears."""
    paths = Paths(Path(root))
    mailbox = Mailbox("celery", type="fanout", accept=["json"])
    connection = Connection(broker, heartbeat=0)
    replies: Replies = deque()
    for name in names:
        heard = heard_by(paths, name) if name == names[0] else None
        channel = connection.channel()
        node = Mute(
            name,
            paths,
            heard,
            replies,
            hostname=f"{name}@{branch}",
            channel=channel,
            mailbox=mailbox,
        )
        node.listen()
    print("ready", flush=True)
    while True:
        connection.drain_events()
        while replies:
            replies.popleft()()


def heard_by(paths: Paths, name: str) -> Path:
    """Where that node notes when it heard what; one line a question."""
    return paths.root / f"heard.{name}"


if __name__ == "__main__":
    broker, branch, root, *names = sys.argv[1:]
    play(broker, branch, root, names)
