"""What the store does for who dispatches: parts of the views of :mod:`cyme_supd.domain.ports`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Protocol

from cyme_supd.domain.firing import UnderWay
from cyme_supd.domain.job import Job, Run


class Dispatched(Protocol):
    def database_now(self, now: datetime) -> datetime:
        """By the clock that all at this database have; *now* where that is the host's."""

    def next_order_at(self) -> datetime | None:
        """When the next run is to be ordered, or was already."""

    def under_way(self, job_ids: Collection[str]) -> Mapping[str, UnderWay]:
        """Of those jobs that have runs which have not ended."""

    def known_runs(self, ids: Collection[str]) -> set[str]:
        """Those of these runs that are there."""

    def shared_key(self, name: str) -> str | None: ...


class DispatchedEdit(Protocol):
    def take_due(self, now: datetime, limit: int) -> list[Job]:
        """Those due at *now* or before, the longest due first, but for those that others have.

        They are nobody else's until the transaction ends; but who writes a category anew
        waits for its end.
        """

    def move_on(self, jobs: Iterable[Job]) -> None:
        """Store when jobs are due next, and nothing else of them."""

    def take_orders(self, now: datetime, limit: int, until: datetime) -> list[Run]:
        """Queued runs whose ``order_at`` is *now* or before; it is *until* from then on."""

    def mark_ordered(self, ids: Collection[str], until: datetime, again_at: datetime) -> None:
        """They were ordered, and are once more at *again_at*.

        Those are passed over that are not queued any more, or whose ``order_at`` is not
        *until*, which it was when they were taken: somebody has said something else.
        """

    def put_off(
        self, ids: Collection[str], until: datetime, again_at: datetime, reason: str
    ) -> None:
        """They could not be ordered, for that *reason*; otherwise as :meth:`mark_ordered`."""

    def share_key(self, name: str, value: str) -> str:
        """The key of that name; where there is none it is *value* from now on.

        To be called by who writes, and is alone.
        """
