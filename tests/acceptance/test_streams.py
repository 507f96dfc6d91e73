"""Whoever listens hears of what changes: by request, on the host, and in a log."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.acceptance.harness import BranchHost
from tests.streams import Stream
from tests.support import eventually

pytestmark = pytest.mark.timeout(180)
#: More than enough for two processes to have some each.
LISTENERS = 16


@pytest.fixture(scope="module")
def host() -> Iterator[BranchHost]:
    with BranchHost() as host:
        host.start().client.put("/foo/").raise_for_status()
        yield host


@pytest.fixture
def listeners(host: BranchHost) -> Iterator[list[Stream]]:
    """One at each process of the web."""
    with ExitStack() as held:
        by_server: dict[str, Stream] = {}
        for _ in range(LISTENERS):
            stream = held.enter_context(Stream(host.client, "/api/events/"))
            first = eventually(lambda heard=stream.events: heard, 30.0)[0]
            assert json.loads(first.data)["kind"] == "all"
            by_server.setdefault(first.server, stream)
            if len(by_server) == 2:
                break
        assert len(by_server) == 2
        yield list(by_server.values())


def heard(stream: Stream, since: int, **wanted: str) -> bool:
    changes = (json.loads(each.data) for each in stream.events[since:])
    return any(wanted.items() <= each.items() for each in changes)


def test_changes_are_heard_at_every_process(host: BranchHost, listeners: list[Stream]) -> None:
    host.make("foo", "w1")
    eventually(lambda: all(heard(each, 1, kind="instance", name="w1") for each in listeners))
    eventually(lambda: host.is_ready("foo", "w1"), 30)
    before = [len(each.events) for each in listeners]
    host.post("/foo/instances/!/w1/autoscale/", 202, max=2)
    host.client.put("/foo/queues/tasks/").raise_for_status()
    for stream, since in zip(listeners, before, strict=True):
        eventually(lambda s=stream, n=since: heard(s, n, kind="queue", app="foo", name="tasks"))
        eventually(lambda s=stream, n=since: heard(s, n, kind="instance", name="w1"))


def test_what_happens_on_the_host_is_heard(host: BranchHost, listeners: list[Stream]) -> None:
    host.make("foo", "w2")
    eventually(lambda: host.is_ready("foo", "w2"), 30)
    with Stream(host.client, "/foo/instances/w2/log/?follow=1") as log:
        eventually(lambda: "ready" in "".join(each.data for each in log.events))
        pid = host.get("/foo/instances/w2/")["pid"]
        before, logged = [len(each.events) for each in listeners], len(log.events)
        os.kill(pid, signal.SIGKILL)
        for stream, since in zip(listeners, before, strict=True):
            eventually(lambda s=stream, n=since: heard(s, n, kind="instance", name="w2"))
        eventually(lambda: "ready" in "".join(each.data for each in log.events[logged:]), 30)
        assert {each.kind for each in log.events[logged:]} == {"more"}
