"""What the branch writes down of itself every half minute."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from cyme_supd.branch.meter import Meter
from cyme_supd.branch.orphans import OrphanWatch
from cyme_supd.branch.sampler import FRESH_S, Sampler
from cyme_supd.domain.samples import FINE_FOR, STEP_S, Point, Subject, moment
from cyme_supd.domain.spec import Queue, Worker
from cyme_supd.domain.status import Backlog
from cyme_supd.errors import NotFound, Unavailable
from cyme_supd.metrics import Metrics
from cyme_supd.testing.clock import FakeClock
from cyme_supd.testing.remote import FakeRemoteControl
from cyme_supd.testing.store import MemoryStore
from tests.unit.values import AT, a_worker


class Depths:
    """Three messages in every queue, the oldest of which has been there since a second."""

    def watch(self, queues: Iterable[tuple[str, str]]) -> None:
        pass

    def backlog(self, broker: str, queue: str) -> Backlog | None:
        return Backlog(3, 1.0, oldest_at=1.0)


class Yard:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore()
        self.remote = FakeRemoteControl(self.clock)
        self.meter = Meter(Metrics(), Depths())
        self.is_acting = True
        self.sampler = self.started()

    def started(self) -> Sampler:
        return Sampler(
            "b1", self.store, self.meter, self.remote, self.clock, lambda: self.is_acting
        )

    def say(self, worker: Worker, pid: int = 7, started: int = 0) -> None:
        self.remote.says(worker, pid, started=started, active=1, processes=2)

    def step(self) -> None:
        self.clock.advance(STEP_S)
        self.sampler.look()

    def points(self, subject: Subject) -> list[Point]:
        with self.store.reading() as view:
            found = view.samples(subject, AT - timedelta(days=365 * 100))
        return [point for _, point in found.get("b1", ())]


@pytest.fixture
def yard() -> Yard:
    return Yard()


def a_queue(name: str, app: str = "foo") -> Queue:
    return Queue(app, name, name, "direct", name, {}, AT)


WORKER = replace(a_worker(max_concurrency=4), queues=(a_queue("tasks"), a_queue("mail")))


def test_one_a_moment_of_queues_instances_apps_and_all(yard: Yard) -> None:
    other = replace(WORKER, instance=replace(WORKER.instance, name="w2"), queues=())
    yard.meter.saw([WORKER, other])
    yard.say(WORKER, started=10)
    yard.step()
    yard.sampler.look()
    yard.say(WORKER, started=25)
    yard.step()
    (first, second) = yard.points(Subject("foo", instance="w1"))
    assert first == Point(begun=0, running=1, processes=2, most=4)
    assert second == replace(first, begun=15)
    (queue, _) = yard.points(Subject("foo", queue="mail"))
    assert queue.depth == 3
    assert queue.oldest_s is not None
    assert yard.points(Subject("foo", instance="w2"))[0] == Point(most=4)
    for whole in (Subject("foo"), Subject()):
        (point, _) = yard.points(whole)
        assert (point.depth, point.running, point.processes, point.most) == (6, 1, 2, 8)


def test_nothing_before_its_time_and_nothing_by_who_does_not_act(yard: Yard) -> None:
    yard.sampler.look()
    assert yard.points(Subject()) == []
    yard.is_acting = False
    yard.step()
    assert yard.points(Subject()) == []
    yard.is_acting = True
    yard.sampler.look()
    assert yard.points(Subject()) == [Point()]


def test_a_worker_that_is_silent_is_not_known(yard: Yard) -> None:
    yard.meter.saw([WORKER])
    yard.say(WORKER, started=10)
    yard.step()
    yard.clock.advance(FRESH_S)
    yard.step()
    assert yard.points(Subject("foo", instance="w1"))[-1] == Point(begun=0, most=4)


def test_what_a_new_process_has_done_is_added(yard: Yard) -> None:
    yard.meter.saw([WORKER])
    for pid, started in ((7, 10), (7, 15), (8, 2)):
        yard.say(WORKER, pid, started)
        yard.step()
    assert [each.begun for each in yard.points(Subject("foo", instance="w1"))] == [0, 5, 7]


def test_a_store_that_is_away_costs_a_sample_and_no_more(
    yard: Yard, caplog: pytest.LogCaptureFixture
) -> None:
    yard.store.failure = Unavailable("the disk is full")
    yard.step()
    yard.step()
    assert [each.message for each in caplog.records] == ["no sample: the disk is full"]
    yard.store.failure = None
    yard.step()
    assert len(yard.points(Subject())) == 1


def test_what_is_old_goes(yard: Yard) -> None:
    yard.clock.advance(STEP_S - yard.clock.now().timestamp() % 300)
    yard.sampler = yard.started()
    for _ in range(2):
        yard.step()
    assert moment(yard.clock.now()) == yard.clock.now()
    count = len(yard.points(Subject()))
    yard.clock.advance(FINE_FOR.total_seconds())
    yard.step()
    assert len(yard.points(Subject())) < count + 1


class Orphans:
    def __init__(self) -> None:
        self.counts: dict[str, dict[str, int] | Exception | None] = {}

    def count(self, app: str) -> dict[str, int] | None:
        found = self.counts[app]
        if isinstance(found, Exception):
            raise found
        return found


def test_what_is_nobodys_twice_running_is_told() -> None:
    orphans, meter = Orphans(), Meter()
    watch = OrphanWatch(lambda: sorted(orphans.counts), orphans.count, meter, FakeClock())
    orphans.counts = {"foo": {"queues": 2, "tasks": 1}, "bar": {"queues": 0, "tasks": 0}}
    watch.look()
    assert meter.orphans == {}
    orphans.counts["foo"] = {"queues": 1, "tasks": 5}
    watch.look()
    assert meter.orphans == {"foo": {"queues": 1, "tasks": 1}, "bar": {"queues": 0, "tasks": 0}}


@pytest.mark.parametrize("unknown", [None, NotFound("there is no app 'foo'")])
def test_an_app_of_which_nothing_is_known_is_not_told_of(unknown: Exception | None) -> None:
    orphans, meter = Orphans(), Meter()
    watch = OrphanWatch(lambda: ["foo"], orphans.count, meter, FakeClock())
    for each in ({"queues": 1}, {"queues": 1}, unknown, {"queues": 1}):
        orphans.counts["foo"] = each
        watch.look()
        told = meter.orphans.get("foo")
    assert told is None
