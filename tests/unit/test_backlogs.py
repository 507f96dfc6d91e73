"""Which queues are looked at, and how many of them at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cyme_supd.domain.age import Look
from cyme_supd.domain.status import Backlog
from cyme_supd.testing.clock import FakeClock
from cyme_supd.workers.backlogs import MOST_QUEUES, BacklogWatch


class Brokers:
    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.deep: dict[str, int] = {}
        self.seen: set[str] = set()

    def looks(self, broker: str, queues: Sequence[str]) -> Mapping[str, Look]:
        self.asked.append((broker, len(queues)))
        self.seen.update(queues)
        return {name: Look(self.deep.get(name, 0)) for name in queues}


def test_nothing_is_asked_where_nobody_is_idle() -> None:
    brokers = Brokers()
    watch = BacklogWatch(brokers, FakeClock(), 5.0)

    watch.look()

    assert brokers.asked == []


def test_what_waits_is_remembered_from_look_to_look() -> None:
    brokers, clock = Brokers(), FakeClock()
    watch = BacklogWatch(brokers, clock, 5.0)
    began_at = clock.monotonic()
    brokers.deep["tasks"] = 3
    for _ in range(3):
        watch.watch([("b", "tasks"), ("b", "other")])
        watch.look()
        clock.advance(5)

    assert watch.backlog("b", "tasks") == Backlog(3, began_at + 10, began_at, 3)
    assert watch.backlog("b", "other") == Backlog(0, began_at + 10)


def test_what_is_not_watched_any_more_is_forgotten() -> None:
    watch = BacklogWatch(Brokers(), FakeClock(), 5.0)
    watch.watch([("b", "tasks")])
    watch.look()
    watch.watch([("c", "tasks")])

    assert watch.backlog("b", "tasks") is None


def test_a_round_does_not_grow_with_the_fleet_and_all_have_their_turn() -> None:
    brokers = Brokers()
    watch = BacklogWatch(brokers, FakeClock(), 5.0)
    names = [f"q{number}" for number in range(3 * MOST_QUEUES)]
    for _ in range(3):
        watch.watch(("b", name) for name in names)
        watch.look()

    assert brokers.asked == [("b", MOST_QUEUES)] * 3
    assert brokers.seen == set(names)


def test_one_broker_that_tells_nothing_is_no_news() -> None:
    class Down(Brokers):
        def looks(self, broker: str, queues: Sequence[str]) -> Mapping[str, Look]:
            return {}

    watch = BacklogWatch(Down(), FakeClock(), 5.0)
    watch.watch([("b", "tasks")])
    watch.look()

    assert watch.backlog("b", "tasks") is None
