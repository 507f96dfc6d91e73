"""Forgets runs that have ended, some at a time: nobody who dispatches waits for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from cyme_supd.clock import Clock
from cyme_supd.domain.ports import Store

#: Runs in one transaction, and what lies between two of them.
BATCH, PAUSE_S = 200, 0.05


def forget(
    store: Store,
    clock: Clock,
    kept: int | None,
    older_s: float | None,
    goes_on: Callable[[], bool] = lambda: True,
) -> int:
    """All but the latest *kept* of each job, and those of fire times longer ago; how many.

    Several may do so at once: who comes second finds nothing.
    """
    count = 0
    if older_s is not None:
        before = clock.now() - timedelta(seconds=older_s)
        removed = BATCH
        while removed == BATCH and goes_on():
            with store.recording() as tx:
                removed = tx.remove_old_runs(before, BATCH)
            count += removed
            clock.sleep(PAUSE_S)
    after: str | None = "" if kept is not None else None
    while after is not None and kept is not None and goes_on():
        with store.recording() as tx:
            removed, after = tx.remove_surplus_runs(kept, after, BATCH)
        count += removed
        if removed:
            clock.sleep(PAUSE_S)
    return count
