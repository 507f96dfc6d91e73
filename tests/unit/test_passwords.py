"""Passwords: right, wrong, remembered, guessed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cyme_supd.domain.access import Role, User
from cyme_supd.errors import RateLimited, Unavailable
from cyme_supd.service import passwords
from cyme_supd.service.guesses import GUESS_EVERY_S, GUESSES
from cyme_supd.service.passwords import REMEMBERED_S, Passwords, hashed
from tests.unit.service_support import START, PlayedClock

RIGHT = "größer als 8"
ALICE = User("alice", hashed(RIGHT), Role.VIEWER, START)


class Counting:
    """The hasher, which is asked as seldom as possible."""

    def __init__(self) -> None:
        self.asked = 0

    def verify(self, stored: str, password: bytes) -> bool:
        self.asked += 1
        return _HASHER.verify(stored, password)


_HASHER = passwords._HASHER


@pytest.fixture
def hasher(monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting()
    monkeypatch.setattr(passwords, "_HASHER", counting)
    return counting


def test_right_and_wrong(hasher: Counting, caplog: pytest.LogCaptureFixture) -> None:
    known = Passwords(PlayedClock())
    assert known.is_right("alice", ALICE, RIGHT, "192.0.2.1")
    for wrong in ("", "größer als 9", "\ud800"):
        assert not known.is_right("alice", ALICE, wrong, "192.0.2.1")
    # For somebody who is not there just as much is computed.
    assert "a wrong password for alice, from 192.0.2.1" in caplog.messages
    assert "größer" not in caplog.text
    asked = hasher.asked
    assert not known.is_right("bob", None, RIGHT, "192.0.2.1")
    assert hasher.asked == asked + 1
    # A name that ends a line is none.
    assert not known.is_right("a\nb", None, RIGHT, "192.0.2.1")
    assert caplog.messages[-1] == "a wrong password for no name, from 192.0.2.1"
    assert not known.is_right("alice", replace(ALICE, password_hash="nonsense"), "x", "192.0.2.1")


def test_nobodys_password_costs_what_others_cost() -> None:
    assert not _HASHER.check_needs_rehash(passwords._NOBODYS)
    assert not _HASHER.check_needs_rehash(ALICE.password_hash)


def test_a_right_one_is_remembered_for_some_seconds(hasher: Counting) -> None:
    clock = PlayedClock()
    known = Passwords(clock)
    for _ in range(3):
        assert known.is_right("alice", ALICE, RIGHT, "192.0.2.1")
    assert hasher.asked == 1
    assert not known.is_right("alice", ALICE, "another one", "192.0.2.1")
    clock.sleep(REMEMBERED_S + 1)
    assert known.is_right("alice", ALICE, RIGHT, "192.0.2.1")
    assert hasher.asked == 3
    # With another password what was remembered is worth nothing.
    edited = replace(ALICE, password_hash=_HASHER.hash("a new password"))
    assert not known.is_right("alice", edited, RIGHT, "192.0.2.1")
    assert not known.is_right("alice", None, RIGHT, "192.0.2.1")


def test_guesses_are_counted_by_name_and_address(hasher: Counting) -> None:
    clock = PlayedClock()
    known = Passwords(clock)
    for _ in range(GUESSES):
        assert not known.is_right("alice", ALICE, "wrong one", "192.0.2.1")
    with pytest.raises(RateLimited) as refused:
        known.is_right("alice", ALICE, RIGHT, "192.0.2.1")
    assert 0 < refused.value.retry_after_s <= GUESS_EVERY_S
    assert hasher.asked == GUESSES
    # Nobody else is locked out: not alice elsewhere, not others there.
    assert known.is_right("alice", ALICE, RIGHT, "192.0.2.2")
    assert not known.is_right("bob", None, "wrong one", "192.0.2.1")
    # Who has just been let in stays so, from wherever.
    assert known.is_right("alice", ALICE, RIGHT, "192.0.2.1")
    clock.sleep(REMEMBERED_S)
    assert known.is_right("alice", ALICE, RIGHT, "192.0.2.1")


def test_who_was_let_in_before_is_not_locked_out_by_a_neighbour(hasher: Counting) -> None:
    clock = PlayedClock()
    known = Passwords(clock)
    assert known.is_right("alice", ALICE, RIGHT, "192.0.2.1")
    clock.sleep(REMEMBERED_S)
    for _ in range(GUESSES):
        assert not known.is_right("alice", ALICE, "wrong one", "192.0.2.1")
    with pytest.raises(RateLimited):
        known.is_right("alice", ALICE, "wrong one", "192.0.2.1")
    asked = hasher.asked
    assert known.is_right("alice", ALICE, RIGHT, "192.0.2.1")
    assert hasher.asked == asked + 1


def test_only_so_many_are_looked_at_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "PATIENCE_S", 0.01)
    known = Passwords(PlayedClock())
    for _ in range(passwords.MAX_AT_ONCE):
        known._turns.acquire()
    with pytest.raises(Unavailable):
        known.is_right("alice", ALICE, RIGHT, "192.0.2.1")
    known._turns.release()
    assert known.is_right("alice", ALICE, RIGHT, "192.0.2.1")


def test_right_passwords_are_no_guesses() -> None:
    clock = PlayedClock()
    known = Passwords(clock)
    for _ in range(2 * GUESSES):
        assert known.is_right("alice", ALICE, RIGHT, "192.0.2.1")
        clock.sleep(REMEMBERED_S)


def test_nobody_waits_behind_many(hasher: Counting) -> None:
    """Who waits holds a thread of the web's."""
    known = Passwords(PlayedClock())
    for _ in range(passwords.MAX_AT_ONCE + passwords.MAX_WAITING):
        known._places.acquire()
    with pytest.raises(Unavailable):
        known.is_right("alice", ALICE, RIGHT, "192.0.2.1")
    assert hasher.asked == 0
    known._places.release()
    # It was no guess, either.
    for _ in range(GUESSES):
        assert not known.is_right("alice", ALICE, "wrong one", "192.0.2.1")
