"""The monitor with its adapters: a branch's, or one that is alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cyme_supd.branch.beats import Beats
from cyme_supd.clock import SystemClock
from cyme_supd.config import Config
from cyme_supd.domain.presence import Peer
from cyme_supd.domain.taskmessage import Redaction, redaction
from cyme_supd.domain.tracking import Keep, Place, parse_keep, tracked_places
from cyme_supd.monitor.monitor import Monitor
from cyme_supd.store.repository import SqlStore
from cyme_supd.workers.backends import CeleryBackends
from cyme_supd.workers.depths import BrokerQueues

Peers = Callable[[], Mapping[str, Peer]]


def make_monitor(
    config: Config, store: SqlStore, owner: str, beats: Beats, is_ours: Callable[[], bool]
) -> Monitor:
    """*owner* is this monitor's name, which no other has; *is_ours* as :func:`is_first`."""
    kept = Kept(
        redaction(config.redact, config.redact_tasks),
        parse_keep(config.keep_tasks),
        config.lost_after,
    )
    return monitor_of(store, config.broker, owner, kept, beats, is_ours)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is recorded of tasks, for how long, and when one is thought lost."""

    redaction: Redaction
    keep: Mapping[str, Keep]
    lost_after_s: float


def monitor_of(
    store: SqlStore,
    broker: str,
    owner: str,
    kept: Kept,
    beats: Beats,
    is_ours: Callable[[], bool] = lambda: True,
) -> Monitor:
    """*broker* is that of applications that name none."""
    queues = BrokerQueues()

    def depth(broker: str, queue: str) -> int | None:
        found = queues.depth(broker, queue)
        return None if found is None else found.messages

    def places() -> Sequence[Place]:
        if not is_ours():
            return ()
        with store.reading() as view:
            return tracked_places(view, broker)

    return Monitor(
        store,
        owner,
        places,
        CeleryBackends(),
        depth,
        SystemClock(),
        kept.redaction,
        kept.keep,
        kept.lost_after_s,
        beats.beat,
        beats.retire,
    )


def is_first(config: Config, peers: Peers) -> bool:
    """Whether this branch is the one of its fleet that keeps the record.

    Branches with one database keep one together. Of those with a file each one alone
    does: a queue has each message once, and each would have some of them.
    """
    if config.database:
        return True
    live = [id for id, peer in peers().items() if peer.is_live]
    return config.id == min([*live, config.id])
