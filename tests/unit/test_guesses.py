"""Who guesses passwords: counted by name and address, and by address alone."""

from __future__ import annotations

import pytest

from cyme_supd.errors import RateLimited
from cyme_supd.service import guesses
from cyme_supd.service.guesses import (
    ADDRESS_GUESS_EVERY_S,
    ADDRESS_GUESSES,
    GUESSES,
    Guesses,
)
from tests.unit.service_support import PlayedClock


def test_only_so_many_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guesses, "MAX_COUNTED", 2)
    counted = Guesses(PlayedClock())
    for name in ("a", "b", "a", "c"):
        for _ in range(GUESSES // 2):
            counted.take(name, "192.0.2.1")
    # The one that was silent for longest is forgotten.
    with pytest.raises(RateLimited):
        counted.take("a", "192.0.2.1")
    counted.take("b", "192.0.2.1")


@pytest.mark.parametrize(
    ("address", "neighbour", "other"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        # Whoever has one address of IPv6 has all of its network.
        ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"),
        ("", "", "192.0.2.1"),
    ],
)
def test_other_names_are_no_way_around_it(address: str, neighbour: str, other: str) -> None:
    clock = PlayedClock()
    counted = Guesses(clock)
    for number in range(ADDRESS_GUESSES):
        counted.take(f"n{number}", address)
    with pytest.raises(RateLimited) as refused:
        counted.take("alice", neighbour)
    assert 0 < refused.value.retry_after_s <= ADDRESS_GUESS_EVERY_S
    counted.take("alice", other)
    # One that is refused is not counted, and one that was none is given back.
    clock.sleep(ADDRESS_GUESS_EVERY_S)
    counted.take("alice", address)
    counted.give_back("alice", address)
    counted.take("bob", address)


def test_a_name_that_is_guessed_again_and_again_does_not_use_up_its_address() -> None:
    """So does a program whose password is old."""
    clock = PlayedClock()
    counted = Guesses(clock)
    for _ in range(10 * ADDRESS_GUESSES):
        try:
            counted.take("old", "192.0.2.1")
        except RateLimited:
            clock.sleep(1)
    counted.take("alice", "192.0.2.1")
