"""Signs of life of threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from cyme_supd.branch.beats import STUCK_S, Beats
from cyme_supd.testing.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def thread() -> Iterator[threading.Thread]:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="one", daemon=True)
    thread.start()
    yield thread
    stop.set()
    thread.join(10)


def test_one_that_moves_is_well(clock: FakeClock, thread: threading.Thread) -> None:
    beats = Beats(clock)
    beats.beat(thread.name)
    clock.advance(STUCK_S)
    beats.beat(thread.name)
    clock.advance(STUCK_S)

    assert beats.stuck() == []
    assert beats.ages() == {"one": STUCK_S}


def test_one_that_does_not_move_is_stuck(clock: FakeClock, thread: threading.Thread) -> None:
    beats = Beats(clock)
    beats.beat(thread.name)
    clock.advance(STUCK_S + 1)

    assert beats.stuck() == ["one"]


def test_one_that_ended_is_stuck_at_once(clock: FakeClock) -> None:
    beats = Beats(clock)
    beats.beat("gone")

    assert beats.stuck() == ["gone"]


def test_one_that_may_end_is_not_missed(clock: FakeClock) -> None:
    beats = Beats(clock)
    beats.beat("gone")
    beats.retire("gone")

    assert beats.stuck() == []
