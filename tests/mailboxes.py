"""Branches that reach one another over a broker, all in this process."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from cyme_supd.clock import SystemClock
from cyme_supd.mailbox.controllers import Handler
from cyme_supd.mailbox.post import BranchPost, Post
from tests.support import eventually
from tests.unit.values import a_heartbeat

#: Three of them are missed sooner than a test loses patience, and not
#: because the machine has other things to do.
BEAT_S = 0.5
QUICK_COMMAND = "ping"


class Posts:
    """A fleet at a broker. As a context: whoever has not ended is ended."""

    def __init__(self, broker: str, fleet: str) -> None:
        self.broker = broker
        self.fleet = fleet
        self._ends = ExitStack()

    def __enter__(self) -> Posts:
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()
        eventually(lambda: not mailbox_threads(self.fleet), 20)

    def asker(self, id: str = "here", broker: str | None = None) -> Post:
        """A process that only asks."""
        post = Post(id, broker or self.broker, self.fleet, SystemClock())
        self._ends.callback(post.stop)
        return post

    def branch(
        self,
        id: str,
        handlers: Mapping[str, Handler] | None = None,
        broker: str | None = None,
        **says: Any,
    ) -> BranchPost:
        """One that has started, if it is not given a broker that is away."""
        usual: dict[str, Any] = {"started_at": datetime.now(UTC), "interval_s": BEAT_S}
        heartbeat = a_heartbeat(id, **{**usual, **says})
        quick = {QUICK_COMMAND: lambda arguments, deadline_s: "pong"}
        post = BranchPost(
            id,
            broker or self.broker,
            self.fleet,
            SystemClock(),
            heartbeat.started_at,
            lambda: heartbeat,
            handlers or {},
            quick,
            numc=2,
            interval_s=heartbeat.interval_s,
        )
        post.start()
        self._ends.callback(post.stop)
        return post


def kill(post: BranchPost) -> None:
    """Have it gone from the broker without a word, as one that was killed is."""
    Post.stop(post)


def is_heard(post: Post, *ids: str) -> bool:
    """Whether exactly these live, for all that *post* knows."""
    return {id for id, peer in post.peers().items() if peer.is_live} == set(ids)


def mailbox_threads(fleet: str) -> list[str]:
    names = ("mailbox:", "controller:")
    return [each.name for each in threading.enumerate() if each.name.startswith(names)]
