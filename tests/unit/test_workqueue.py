"""What to look at next."""

from __future__ import annotations

import threading

from cyme_supd.branch.workqueue import Work, WorkQueue
from cyme_supd.clock import SystemClock
from cyme_supd.testing.clock import FakeClock


def test_nothing_is_due_at_first() -> None:
    assert WorkQueue(FakeClock()).take(0) == Work()


def test_a_name_is_taken_once_however_often_it_was_put() -> None:
    queue = WorkQueue(FakeClock())
    queue.put(["a", "b"])
    queue.put(["a"])

    assert queue.take(0).names == {"a", "b"}
    assert queue.take(0).names == set()


def test_hints_and_the_wish_for_all_are_taken_once() -> None:
    queue = WorkQueue(FakeClock())
    queue.hint()
    queue.resync()

    assert queue.take(0) == Work(is_hinted=True, is_full=True)
    assert queue.take(0) == Work()


def test_later_is_not_now_and_the_sooner_wish_wins() -> None:
    clock = FakeClock()
    queue = WorkQueue(clock)
    queue.put_later("a", 5)
    queue.put_later("a", 1)
    queue.put_later("b", 2)
    queue.put_later("b", 9)

    assert queue.take(0).names == set()
    clock.advance(1)
    assert queue.take(0).names == {"a"}
    clock.advance(1)
    assert queue.take(0).names == {"b"}
    clock.advance(99)
    assert queue.take(0).names == set()


def test_one_who_waits_is_woken() -> None:
    queue = WorkQueue(SystemClock())
    taken: list[Work] = []
    waiter = threading.Thread(target=lambda: taken.append(queue.take(30)))
    waiter.start()
    queue.put(["a"])
    waiter.join(10)

    assert taken == [Work(frozenset({"a"}))]


def test_one_who_waits_is_woken_for_what_is_due_later() -> None:
    queue = WorkQueue(SystemClock())
    queue.put_later("a", 0.05)

    assert queue.take(30).names == {"a"}
