"""What the branch counts while it works."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace

import pytest

from cyme_supd.branch.meter import CountingPublisher, Meter
from cyme_supd.domain.metrics import (
    ACTIONS,
    ENDED,
    FAILED_PASSES,
    LIVE,
    MESSAGES,
    OLDEST,
    ORPHANS,
    PASSES,
    QUEUED,
    Key,
)
from cyme_supd.domain.presence import Peer
from cyme_supd.domain.samples import Point
from cyme_supd.domain.spec import Queue
from cyme_supd.domain.status import Backlog
from cyme_supd.domain.task import Task, TaskState, UrlRequest
from cyme_supd.errors import Unavailable
from cyme_supd.metrics import Metrics
from cyme_supd.testing.publisher import MemoryPublisher
from tests.unit.played_host import Host
from tests.unit.values import AT, BROKER, a_heartbeat, a_worker


class Depths:
    """What waits, by broker and queue."""

    def __init__(self, **messages: int) -> None:
        self.messages = messages
        self.oldest_at: float | None = None
        self.watched: set[tuple[str, str]] = set()

    def watch(self, queues: Iterable[tuple[str, str]]) -> None:
        self.watched = set(queues)

    def backlog(self, broker: str, queue: str) -> Backlog | None:
        found = self.messages.get(queue)
        return None if found is None else Backlog(found, 1.0, oldest_at=self.oldest_at)


class Stopped(threading.Event):
    """Ends a loop at its second turn; what is there to do is then done."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self.host = host
        self.turns = 0

    def beat(self) -> None:
        self.turns += 1
        self.host.queue.hint()
        if self.turns == 2:
            self.set()

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


def rows(host: Host, name: str) -> dict[tuple[str, ...], float]:
    """By labels, how often it happened."""
    counts = host.metrics.counts()
    return {
        key[1]: sum(row[:-1]) if len(row) > 1 else row[0]
        for key, row in counts.items()
        if key[0] == name
    }


def test_passes_and_actions_are_counted() -> None:
    host = Host()
    host.create()
    stopped = Stopped(host)
    host.reconciler.run(stopped, stopped.beat)
    assert rows(host, PASSES.name) == {("full",): 1.0, ("partial",): 1.0}
    assert rows(host, ACTIONS.name) == {("writelaunch",): 1.0, ("apply",): 1.0, ("start",): 1.0}
    assert rows(host, FAILED_PASSES.name) == {}


def test_a_pass_that_fails_has_no_duration() -> None:
    host = Host()
    host.store.failure = Unavailable("locked")
    stopped = Stopped(host)
    host.reconciler.run(stopped, stopped.beat)
    assert rows(host, FAILED_PASSES.name) == {(): 2.0}
    assert rows(host, PASSES.name) == {}


def test_one_that_waits_for_its_turn_has_not_started() -> None:
    host = Host(max_starting=1)
    for name in ("w1", "w2"):
        host.create(name)
    host.hint()
    assert rows(host, ACTIONS.name)[("start",)] == 1.0


def test_tasks_are_counted_by_state() -> None:
    metrics = Metrics()
    ended = [
        Task("1", "foo", TaskState.SUCCESS, {}, None, AT),
        Task("2", "foo", TaskState.FAILURE, None, "no", AT),
        Task("3", "foo", TaskState.SUCCESS, {}, None, AT),
    ]
    Meter(metrics).ended(ended)
    assert metrics.counts() == {
        (ENDED.name, ("foo", "SUCCESS")): (2.0,),
        (ENDED.name, ("foo", "FAILURE")): (1.0,),
    }


def test_only_what_was_queued_is_counted() -> None:
    metrics, publisher = Metrics(), MemoryPublisher()
    counting = CountingPublisher(publisher, metrics)
    queue = Queue("foo", "tasks", "tasks", "direct", "tasks", {}, AT)
    requests = [(str(number), UrlRequest("GET", "http://h/")) for number in range(3)]
    counting.publish(BROKER, queue, requests, "results")
    publisher.is_down = True
    with pytest.raises(Unavailable):
        counting.publish(BROKER, queue, requests, "results")
    assert metrics.counts() == {(QUEUED.name, ("foo",)): (3.0,)}


def test_queues_are_those_that_somebody_should_consume() -> None:
    depths = Depths(tasks=7, other=9)
    meter = Meter(Metrics(), depths)
    assert meter.gauges("b1", {}, 1.0) == {(LIVE.name, ("b1",)): 1.0}
    queues = tuple(
        Queue("foo", name, name, "direct", name, {}, AT) for name in ("tasks", "unheard")
    )
    plain = a_worker()
    meter.saw([replace(plain, queues=queues), replace(plain, queues=queues[:1])])
    told = meter.gauges("b1", {}, 1.0)
    assert depths.watched == {(plain.broker, "tasks"), (plain.broker, "unheard")}
    assert told == {(LIVE.name, ("b1",)): 1.0, (MESSAGES.name, ("foo", "tasks")): 7.0}


def test_branches_that_lapsed_are_told_and_those_that_left_are_not() -> None:
    peers = {
        "b1": Peer(a_heartbeat("b1"), AT, is_live=False),
        "b2": Peer(a_heartbeat("b2"), AT, is_live=True),
        "b3": Peer(a_heartbeat("b3"), AT, is_live=False),
        "b4": Peer(a_heartbeat("b4", is_leaving=True), AT, is_live=False),
    }
    found: dict[Key, float] = Meter().gauges("b1", peers, 1.0)
    assert {key[1][0]: value for key, value in found.items()} == {"b1": 1.0, "b2": 1.0, "b3": 0.0}


def test_what_waits_at_two_brokers_is_added_and_what_is_not_known_is_told() -> None:
    meter = Meter(Metrics(), Depths(tasks=7))
    queues = tuple(Queue("foo", name, name, "direct", name, {}, AT) for name in ("tasks", "new"))
    one = replace(a_worker(), queues=queues)
    meter.saw([one, replace(one, broker="redis://127.0.0.1:1/0", queues=queues[:1])])
    assert meter.queues(1.0) == {("foo", "tasks"): Point(14.0), ("foo", "new"): Point()}


def test_how_old_a_queue_is_and_what_is_nobodys() -> None:
    depths = Depths(tasks=7, other=0)
    depths.oldest_at = 5.0
    meter = Meter(Metrics(), depths)
    queues = tuple(Queue("foo", name, name, "direct", name, {}, AT) for name in ("tasks", "other"))
    meter.saw([replace(a_worker(), queues=queues)])
    meter.orphans = {"foo": {"queues": 2}}
    told = meter.gauges("b1", {}, 65.0)
    assert {labels: value for (name, labels), value in told.items() if name == OLDEST.name} == {
        ("foo", "tasks"): 60.0,
        ("foo", "other"): 0.0,
    }
    assert told[ORPHANS.name, ("foo", "queues")] == 2.0
