"""Who is there, from heartbeats."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cyme_supd.domain.presence import REMEMBERED_S, Heard, Heartbeat, Roll, growing_s
from tests.unit.values import a_heartbeat

AT = datetime(2026, 1, 2, tzinfo=UTC)
BEAT = a_heartbeat("b1", interval_s=2.0)


class Hearer:
    """Hears at times of its own."""

    def __init__(self) -> None:
        self.roll = Roll()
        self.now = 100.0

    def hear(self, heartbeat: Heartbeat, after_s: float = 0.0) -> Heard:
        self.now += after_s
        return self.roll.hear(heartbeat, self.now, AT)

    def is_live(self, after_s: float = 0.0) -> bool:
        self.now += after_s
        return self.roll.peers(self.now)["b1"].is_live


@pytest.fixture
def hearer() -> Hearer:
    return Hearer()


def test_one_that_beats_lives(hearer: Hearer) -> None:
    assert hearer.hear(BEAT) is Heard.CAME
    assert hearer.hear(BEAT, 2.0) is Heard.SAME
    assert hearer.is_live(6.0)


def test_three_beats_missed_and_it_has_lapsed_until_the_next(hearer: Hearer) -> None:
    hearer.hear(BEAT)
    assert not hearer.is_live(6.1)
    assert hearer.hear(BEAT) is Heard.CAME
    assert hearer.is_live()


def test_how_often_it_beats_is_its_own_word(hearer: Hearer) -> None:
    hearer.hear(replace(BEAT, interval_s=10.0))
    assert hearer.is_live(29.0)


def test_one_that_leaves_has_lapsed_at_once(hearer: Hearer) -> None:
    hearer.hear(BEAT)
    assert hearer.hear(replace(BEAT, is_leaving=True)) is Heard.LEFT
    assert not hearer.is_live()
    assert hearer.hear(replace(BEAT, is_leaving=True)) is Heard.SAME


def test_what_it_says_is_shown_and_when_it_was_heard(hearer: Hearer) -> None:
    hearer.hear(BEAT)
    hearer.roll.hear(replace(BEAT, instances=7), hearer.now, AT + timedelta(hours=1))
    (peer,) = hearer.roll.peers(hearer.now).values()
    assert (peer.heartbeat.instances, peer.last_seen_at) == (7, AT + timedelta(hours=1))


def test_it_is_forgotten_after_a_week(hearer: Hearer) -> None:
    hearer.hear(BEAT)
    assert hearer.roll.peers(hearer.now + REMEMBERED_S)
    assert hearer.roll.peers(hearer.now + REMEMBERED_S + 1.0) == {}


def test_of_two_processes_the_later_started_counts(hearer: Hearer) -> None:
    later = replace(BEAT, started_at=BEAT.started_at + timedelta(seconds=1), url="later")
    hearer.hear(BEAT)
    assert hearer.hear(later) is Heard.CAME
    assert hearer.hear(BEAT) is Heard.RIVAL
    assert hearer.hear(replace(BEAT, is_leaving=True)) is Heard.RIVAL
    assert hearer.roll.peers(hearer.now)["b1"].heartbeat == later


def test_one_whose_clock_was_set_back_counts_when_the_one_before_is_silent(
    hearer: Hearer,
) -> None:
    again = replace(BEAT, started_at=BEAT.started_at - timedelta(hours=1))
    hearer.hear(BEAT)
    assert hearer.hear(again, 2.0) is Heard.RIVAL
    assert hearer.hear(again, 5.0) is Heard.CAME
    assert hearer.hear(again, 2.0) is Heard.SAME


def test_one_that_starts_again_after_it_has_left_counts_at_once(hearer: Hearer) -> None:
    again = replace(BEAT, started_at=BEAT.started_at - timedelta(hours=1))
    hearer.hear(BEAT)
    hearer.hear(replace(BEAT, is_leaving=True))
    assert hearer.hear(again) is Heard.CAME
    assert hearer.is_live()


@pytest.mark.parametrize(("branches", "every_s"), [(0, 2.0), (1, 2.0), (50, 2.0), (100, 4.0)])
def test_many_beat_less_often(branches: int, every_s: float) -> None:
    assert growing_s(branches) == every_s


def test_one_that_beats_less_often_says_so_and_is_waited_for(hearer: Hearer) -> None:
    hearer.hear(BEAT)
    hearer.hear(replace(BEAT, interval_s=40.0), 2.0)
    assert hearer.is_live(119.0)
    assert not hearer.is_live(2.0)
