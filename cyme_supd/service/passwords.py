"""Passwords: how they are hashed, and whether one is right."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from cyme_supd.clock import Clock
from cyme_supd.domain.access import User
from cyme_supd.domain.naming import NAME
from cyme_supd.errors import Unavailable
from cyme_supd.service.guesses import Guesses

log = logging.getLogger(__name__)

#: Of the settings that OWASP names the one for a single thread.
_HASHER = PasswordHasher(time_cost=1, memory_cost=47_104, parallelism=1)
#: Verified at a time: each takes that memory. So many more wait for their turn, for so long;
#: whoever waits has a thread that is then nobody else's.
MAX_AT_ONCE, MAX_WAITING = 2, 4
PATIENCE_S = 1.0
#: How long a right password is known again without being hashed.
REMEMBERED_S = 30.0


@dataclass(frozen=True, slots=True)
class _Remembered:
    """``of`` is the hash that is stored: with another the password is another."""

    mac: bytes
    of: str
    until: float


class Passwords:
    """Safe to share between threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._guesses = Guesses(clock)
        self._key = secrets.token_bytes(32)
        self._remembered: dict[str, _Remembered] = {}
        self._places = threading.BoundedSemaphore(MAX_AT_ONCE + MAX_WAITING)
        self._turns = threading.BoundedSemaphore(MAX_AT_ONCE)

    def is_right(self, name: str, user: User | None, password: str, address: str) -> bool:
        """Whether *password* is the one of *user*, who is called *name*, or is nobody.

        Raises ``RateLimited`` where too many wrong ones came from *address*,
        ``Unavailable`` where there is no turn to be had.
        """
        mac = hmac.new(self._key, password.encode("utf-8", "replace"), hashlib.sha256).digest()
        known = None if user is None else self._remembered_of(user, mac)
        if known is not None and self._clock.monotonic() < known.until:
            return True
        # One that was right before is no guess, whoever else guesses from there.
        if known is not None:
            is_right = self._verify(user, password)
        else:
            is_right = self._guessed(name, user, password, address)
        if is_right and user is not None:
            until = self._clock.monotonic() + REMEMBERED_S
            self._remembered[user.name] = _Remembered(mac, user.password_hash, until)
        return is_right

    def _remembered_of(self, user: User, mac: bytes) -> _Remembered | None:
        """What is remembered, where it is of this very password."""
        known = self._remembered.get(user.name)
        if known is None or known.of != user.password_hash:
            return None
        return known if hmac.compare_digest(known.mac, mac) else None

    def _guessed(self, name: str, user: User | None, password: str, address: str) -> bool:
        """Whether it is right; counted as a guess only where it is wrong."""
        counted = name if NAME.fullmatch(name) else ""
        self._guesses.take(counted, address)
        is_wrong = False
        try:
            is_wrong = not self._verify(user, password)
        finally:
            if not is_wrong:
                self._guesses.give_back(counted, address)
        if is_wrong:
            log.warning("a wrong password for %s, from %s", counted or "no name", address)
        return not is_wrong

    def _verify(self, user: User | None, password: str) -> bool:
        with self._turn():
            try:
                # Nobody takes as long as somebody: how long it takes tells no names.
                stored = _NOBODYS if user is None else user.password_hash
                _HASHER.verify(stored, password.encode("utf-8", "replace"))
                return user is not None
            except (VerificationError, InvalidHashError):
                return False

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with ExitStack() as held:
            for places, timeout_s in ((self._places, 0.0), (self._turns, PATIENCE_S)):
                if not places.acquire(timeout=timeout_s):
                    raise Unavailable("too many passwords are looked at just now", "try again")
                held.callback(places.release)
            yield


def hashed(password: str) -> str:
    """What is stored of *password*, with a salt of its own."""
    return _HASHER.hash(password)


#: The hash of a password that is nobody's, made by the settings above.
_NOBODYS = (
    "$argon2id$v=19$m=47104,t=1,p=1$"
    "bm9ib2R5IGhhcyB0aGlzMQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)
