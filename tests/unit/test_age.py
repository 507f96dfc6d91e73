"""How long the oldest message has waited: never more than it has, and not guessed."""

from __future__ import annotations

from typing import Any

import pytest

from cyme_supd.domain.age import ALONE, Look, age_s, looked, sent_at
from cyme_supd.domain.status import Backlog

WALL = 1_800_000_000.0
A, B, LEFT = frozenset({"a"}), frozenset({"b"}), frozenset({ALONE})


def aged(*looks: tuple[float, Look]) -> float | None:
    known: Backlog | None = None
    for now, look in looks:
        known = looked(known, look, now, WALL + now)
    return age_s(known, looks[-1][0])


@pytest.mark.parametrize(
    ("looks", "age"),
    [
        ([(5, Look(0))], 0.0),
        ([(5, Look(1))], None),
        ([(5, Look(1, A))], 0.0),
        ([(5, Look(1, A)), (15, Look(3, A))], 10.0),
        ([(5, Look(1, A)), (15, Look(3, B))], 0.0),
        ([(5, Look(2, A)), (15, Look(1, A))], 10.0),
        ([(5, Look(2, LEFT)), (15, Look(2, LEFT)), (25, Look(3, LEFT))], 20.0),
        ([(5, Look(2, LEFT)), (15, Look(1, LEFT))], 0.0),
        ([(5, Look(1, A)), (15, Look(3, A | B)), (25, Look(1, B))], 10.0),
        ([(5, Look(1, A)), (15, Look(0)), (25, Look(1, A))], 0.0),
        ([(5, Look(1, A)), (15, Look(1)), (25, Look(1, A))], 0.0),
        ([(5, Look(1, A)), (15, Look(0, A))], 0.0),
        ([(5, Look(1, A, WALL - 55))], 60.0),
        ([(5, Look(1, A, WALL + 999))], 0.0),
        ([(5, Look(1, frozenset(), WALL))], 5.0),
        ([(5, Look(1, A)), (65, Look(1, A, WALL + 60))], 60.0),
    ],
)
def test_at_the_least(looks: list[tuple[float, Look]], age: float | None) -> None:
    assert aged(*looks) == age


def test_it_grows_between_two_looks() -> None:
    known = looked(None, Look(1, A), 5, WALL)
    assert age_s(known, 9) == 4.0
    assert age_s(looked(known, Look(0), 9, WALL), 20) == 0.0
    assert age_s(None, 9) is None


MADE_AT = "018bcfe5-6800-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("message", "at"),
    [
        ({"properties": {"timestamp": 1.5}}, 1.5),
        ({"properties": {"timestamp": 7}, "headers": {"id": MADE_AT}}, 7.0),
        ({"headers": {"id": MADE_AT}}, 1_700_000_000.0),
        ({"headers": {"id": "6fa459ea-ee8a-4ca4-894e-db77e160355e"}}, None),
        ({"headers": {"id": "mine"}, "properties": {"timestamp": "now"}}, None),
        ({"headers": {"id": 7}, "properties": {"timestamp": True}}, None),
        ({"headers": None, "properties": []}, None),
        ({}, None),
        (None, None),
        ([1], None),
    ],
)
def test_when_a_message_says_it_was_sent(message: Any, at: float | None) -> None:
    assert sent_at([message]) == at
    assert sent_at([message, {"properties": {"timestamp": 0.5}}]) == 0.5
