"""Forgets runs that have ended, some at a time: nobody who dispatches waits for it.

Several may do so at once: who comes second finds nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from cyme_supd.clock import Clock
from cyme_supd.domain.ports import Store

#: Runs in one transaction, and what lies between two of them.
BATCH, PAUSE_S = 200, 0.05


def forget_old(store: Store, clock: Clock, older_s: float, goes_on: Callable[[], bool]) -> int:
    """Those of fire times longer ago, as long as it *goes_on*; how many comes back."""
    before = clock.now() - timedelta(seconds=older_s)
    count, removed = 0, BATCH
    while removed == BATCH and goes_on():
        with store.recording() as tx:
            removed = tx.remove_old_runs(before, BATCH)
        count += removed
        clock.sleep(PAUSE_S if removed else 0.0)
    return count


def forget_surplus(
    store: Store, clock: Clock, kept: int, after: str, goes_on: Callable[[], bool]
) -> tuple[int, str | None]:
    """All but the latest *kept* of each job, of the jobs after the id *after*.

    How many they were comes back, and where to go on: ``None`` at the end of all jobs.
    """
    count, place = 0, after
    while goes_on():
        with store.recording() as tx:
            removed, found = tx.remove_surplus_runs(kept, place, BATCH)
        count += removed
        if found is None:
            return count, None
        place = found
        clock.sleep(PAUSE_S if removed else 0.0)
    return count, place
