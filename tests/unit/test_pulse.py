"""A broker's pulse, as its two threads see it together."""

from __future__ import annotations

import pytest

from cyme_supd.testing.clock import FakeClock
from cyme_supd.workers.pulse import LATE_S, Lost, PulseWatch


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def changes() -> list[bool | None]:
    return []


@pytest.fixture
def watch(clock: FakeClock, changes: list[bool | None]) -> PulseWatch:
    made = PulseWatch("redis://h", clock, lambda: changes.append(made.pulse.is_well))
    return made


def test_it_is_not_known_until_a_message_came_back(
    watch: PulseWatch, changes: list[bool | None]
) -> None:
    assert watch.pulse.is_well is None
    watch.came_back(watch.sending())
    watch.came_back(watch.sending())

    assert changes == [True]


def test_a_message_that_is_late_is_a_loss_and_its_connections_are_suspect(
    watch: PulseWatch, clock: FakeClock, changes: list[bool | None]
) -> None:
    before = watch.losses
    watch.came_back(watch.sending())
    watch.sending()
    clock.advance(LATE_S - 0.1)
    assert watch.until_late() == pytest.approx(0.1)
    watch.check_late()
    watch.check_connection(before)
    # A second one does not excuse the first.
    watch.sending()
    clock.advance(0.1)
    watch.check_late()

    assert changes == [True, False]
    assert watch.until_late() is None
    assert watch.pulse.since == clock.monotonic()
    with pytest.raises(Lost):
        watch.check_connection(before)


def test_each_late_message_makes_connections_suspect(watch: PulseWatch, clock: FakeClock) -> None:
    for _ in range(2):
        before = watch.losses
        watch.sending()
        clock.advance(LATE_S)
        watch.check_late()
        assert watch.losses == before + 1
    watch.check_late()
    assert watch.losses == 2


def test_a_message_from_before_a_loss_proves_nothing(
    watch: PulseWatch, changes: list[bool | None]
) -> None:
    stale = watch.sending()
    watch.lost("refused")
    watch.lost("refused again")
    watch.came_back(stale)
    assert (changes, watch.pulse.reason) == ([False], "refused")

    watch.came_back(watch.sending())

    assert changes == [False, True]


def test_an_error_in_one_thread_leaves_the_other_its_connection(watch: PulseWatch) -> None:
    before = watch.losses
    watch.lost("reset")

    watch.check_connection(before)
