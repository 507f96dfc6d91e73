"""How many files supervisord may open, and how many workers that is."""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import dataclass
from resource import RLIM_INFINITY

import pytest

from cyme_supd.errors import Unavailable
from cyme_supd.supervisord import descriptors
from cyme_supd.supervisord.conf import descriptors_for, room_of
from cyme_supd.supervisord.descriptors import HEADROOM, claim


@dataclass
class Limits:
    """A kernel's; the hard one is raised only for root."""

    soft: int
    hard: int
    is_root: bool = False

    def get(self, _which: int) -> tuple[int, int]:
        return self.soft, self.hard

    def set(self, _which: int, limits: tuple[int, int]) -> None:
        soft, hard = limits
        if hard > self.hard and not self.is_root:
            raise ValueError("not allowed to raise maximum limit")
        self.soft, self.hard = soft, hard


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Limits]:
    def make(soft: int, hard: int, is_root: bool = False) -> Limits:
        made = Limits(soft, hard, is_root)
        monkeypatch.setattr(resource, "getrlimit", made.get)
        monkeypatch.setattr(resource, "setrlimit", made.set)
        return made

    return make


@pytest.mark.parametrize("instances", [0, 1, 400, 2000])
def test_room_is_what_descriptors_are_for(instances: int) -> None:
    assert room_of(descriptors_for(instances)) >= instances
    assert descriptors_for(instances) >= 3 * instances + 200


def test_a_limit_that_is_enough_stays(limits: Callable[..., Limits]) -> None:
    for soft in (100_000, RLIM_INFINITY):
        given = limits(soft, soft)
        assert claim(2000) == (descriptors_for(2000 + HEADROOM), "")
        assert given.soft == soft


@pytest.mark.parametrize("hard", [100_000, RLIM_INFINITY])
def test_a_soft_limit_is_raised(limits: Callable[..., Limits], hard: int) -> None:
    given = limits(1024, hard)
    assert claim(2000) == (descriptors_for(2000 + HEADROOM), "")
    assert (given.soft, given.hard) == (descriptors_for(2000 + HEADROOM), hard)


def test_root_raises_the_hard_one(limits: Callable[..., Limits]) -> None:
    given = limits(1024, 4096, is_root=True)
    assert claim(2000)[1] == ""
    assert given.soft == descriptors_for(2000 + HEADROOM)


def test_a_fleet_that_fits_without_headroom_is_warned_of(limits: Callable[..., Limits]) -> None:
    given = limits(1024, 6500)
    granted, warning = claim(2000)
    assert granted == given.soft == 6500
    assert "room for 100 more" in warning


def test_a_fleet_that_does_not_fit_is_refused(limits: Callable[..., Limits]) -> None:
    limits(1024, 4096)
    with pytest.raises(Unavailable, match=r"2000 instances need 6200 open files.* 4096") as refused:
        claim(2000)
    assert "LimitNOFILE" in refused.value.hint


def test_room_follows_from_the_limit(limits: Callable[..., Limits]) -> None:
    limits(6200, 20_000)
    assert descriptors.room() == 2000
    limits(RLIM_INFINITY, RLIM_INFINITY)
    assert descriptors.room() > 10**9
