"""Who may act for a branch: the one that has the root, or the lease on its row."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from cyme_supd.clock import Clock
from cyme_supd.domain.ports import Store, Transaction
from cyme_supd.domain.status import Branch
from cyme_supd.errors import NotFound, Unavailable

#: Longer than a database takes to come back from a restart.
LASTS_S = 15.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class ActedForElsewhere(Unavailable):
    """Another has the lease."""


class Right(Protocol):
    """To act for a branch. Its methods raise ``Unavailable`` where it is not had."""

    def keep(self) -> None:
        """Have it for a while from now on."""

    def check(self) -> None:
        """Whether it is had at this moment; asks nobody."""

    def due_in_s(self) -> float:
        """How soon it is to be kept again."""

    def renewing(self) -> AbstractContextManager[Transaction]:
        """A change that keeps it, too."""


class RootLock:
    """Where the store is the branch's own: who has the root's lock is the only one."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(self) -> None:
        """It is kept by the process."""

    def check(self) -> None:
        """It is there as long as the process."""

    def due_in_s(self) -> float:
        return math.inf

    def renewing(self) -> AbstractContextManager[Transaction]:
        return self._store.writing()


class Lease:
    """Where others have the store, too: *holder* is this process' branch on this host.

    It is renewed when half of it is gone. How long it is had is judged here by
    two clocks, and from the moment before the database was asked: so it is over
    here before it is over there, also where this host was suspended meanwhile.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        about: Callable[[], Branch],
        holder: str,
        lasts_s: float = LASTS_S,
    ) -> None:
        self._store = store
        self._clock = clock
        self._about = about
        self._holder = holder
        self._lasts_s = lasts_s
        self._until = -math.inf
        self._until_at = datetime.min.replace(tzinfo=UTC)

    def keep(self) -> None:
        if self.due_in_s() <= 0:
            with self.renewing():
                """It is all there is to store."""

    def check(self) -> None:
        if self._left_s() <= 0:
            raise Unavailable("the lease on the branch has run out", "it is renewed when it can be")

    def due_in_s(self) -> float:
        return max(0.0, self._left_s() - self._lasts_s / 2)

    @contextmanager
    def renewing(self) -> Iterator[Transaction]:
        begun, begun_at = self._clock.monotonic(), self._clock.now()
        with self._store.recording() as tx:
            self._take(tx, begun_at)
            yield tx
        self._until = begun + self._lasts_s
        self._until_at = begun_at + timedelta(seconds=self._lasts_s)

    def _left_s(self) -> float:
        by_wall = (self._until_at - self._clock.now()).total_seconds()
        return min(self._until - self._clock.monotonic(), by_wall)

    def _take(self, tx: Transaction, now: datetime) -> None:
        about = self._about()
        try:
            holder = tx.take_lease(about.id, self._holder, now, self._lasts_s)
        except NotFound:
            tx.save_branch(about)
            holder = tx.take_lease(about.id, self._holder, now, self._lasts_s)
        if holder != self._holder:
            self._until = -math.inf
            raise ActedForElsewhere(
                f"{holder} acts for branch {about.id!r}",
                f"taken over {self._lasts_s:g} s after that has ended; two that run need two ids",
            )


def holder_of(root: str) -> str:
    """A name for who runs on *root* of this host, the same until it boots again."""
    return f"{socket.gethostname()}:{root} (boot {_BOOT_ID.read_text().strip()[:8]})"
