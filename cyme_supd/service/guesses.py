"""How often passwords may be guessed."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Hashable

from cyme_supd.clock import Clock
from cyme_supd.errors import RateLimited

#: Wrong passwords for one name from one address: so many at once, then one in so long.
GUESSES, GUESS_EVERY_S = 10, 30.0
#: From one address whatever the names: each costs what a password costs.
ADDRESS_GUESSES, ADDRESS_GUESS_EVERY_S = 100, 3.0
#: Whose guesses are counted; then the oldest are forgotten.
MAX_COUNTED = 10_000


class Guesses:
    """Counts who guesses, by name and address: others with that name are not held up.

    Safe to share between threads.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._by_name = _Allowance(GUESSES, GUESS_EVERY_S)
        self._by_address = _Allowance(ADDRESS_GUESSES, ADDRESS_GUESS_EVERY_S)

    def take(self, name: str, address: str) -> None:
        """Count one before it is tried: many at once are no way around it.

        Raises ``RateLimited`` where it is one too many.
        """
        with self._lock:
            now, counted = self._clock.monotonic(), self._counted(name, address)
            wait_s = max(allowance.wait_s(key, now) for allowance, key in counted)
            if wait_s > 0:
                raise _too_many(wait_s)
            for allowance, key in counted:
                allowance.take(key, now)

    def give_back(self, name: str, address: str) -> None:
        """It was no guess."""
        with self._lock:
            for allowance, key in self._counted(name, address):
                allowance.give_back(key)

    def _counted(self, name: str, address: str) -> list[tuple[_Allowance, Hashable]]:
        return [(self._by_name, (name, address)), (self._by_address, _network(address))]


class _Allowance:
    """For each key *most* at once, then one in *every_s*."""

    def __init__(self, most: int, every_s: float) -> None:
        self._most = most
        self._every_s = every_s
        # When each has all of them again; who has taken one last is the last.
        self._full_at: dict[Hashable, float] = {}

    def wait_s(self, key: Hashable, now: float) -> float:
        """How long until one more may be taken; not above 0 where that is now."""
        return self._after(key, now) - now - self._most * self._every_s

    def take(self, key: Hashable, now: float) -> None:
        full_at = self._after(key, now)
        self._full_at.pop(key, None)
        if len(self._full_at) >= MAX_COUNTED:
            del self._full_at[next(iter(self._full_at))]
        self._full_at[key] = full_at

    def give_back(self, key: Hashable) -> None:
        if key in self._full_at:
            self._full_at[key] -= self._every_s

    def _after(self, key: Hashable, now: float) -> float:
        """When it has all again, with one more taken."""
        return max(now, self._full_at.get(key, now)) + self._every_s


def _network(address: str) -> str:
    """The address; of IPv6 the network, of which whoever has one address has all."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return address if found.version == 4 else str(ipaddress.ip_network((found, 64), strict=False))


def _too_many(wait_s: float) -> RateLimited:
    error = RateLimited(
        "too many wrong passwords from this address",
        "wait for as long as Retry-After says",
    )
    error.retry_after_s = wait_s
    return error
