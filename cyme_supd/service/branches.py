"""Use-cases of branches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cyme_supd.domain.moving import Moving, progress
from cyme_supd.domain.naming import check_name
from cyme_supd.domain.ports import View
from cyme_supd.domain.presence import Peer
from cyme_supd.domain.status import Branch
from cyme_supd.errors import NotFound, Unavailable
from cyme_supd.service.context import Context
from cyme_supd.service.observed import is_fresh


@dataclass(frozen=True, slots=True)
class BranchDetails:
    """``host`` is what the branch last said about its machine: ``load_average``,
    ``disk_use``, ``memory``, where it did. One that ``is_draining`` gets no new
    instances; ``moving`` is how far it is that moves away those it has."""

    branch: Branch
    is_live: bool
    instances: int
    is_draining: bool
    host: Mapping[str, Any] = field(default_factory=dict)
    moving: Mapping[str, Any] | None = None


class Branches:
    """Those that were heard, and those in the store; of itself each knows by the store."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def names(self, after: str = "", limit: int | None = None) -> list[str]:
        """Ids of those that live, in order."""
        peers = self._context.presence.peers()
        with self._context.store.reading() as view:
            rows = {id: view.branch(id) for id in view.branch_ids()}
        known = sorted(id for id in rows.keys() | peers.keys() if id > after)
        ids = [id for id in known if self._is_live(rows.get(id), peers.get(id), id)]
        return ids if limit is None else ids[:limit]

    def get(self, id: str) -> BranchDetails:
        check_name("branch", id)
        peer = self._context.presence.peers().get(id)
        with self._context.store.reading() as view:
            row = _row(view, id, peer)
            instances = view.instance_count(id)
            is_draining = view.is_draining(id)
            moving = progress(view.moving(id), instances)
        if peer is None or (row is not None and id == self._context.here.id):
            assert row is not None
            is_live = is_fresh(row, self._context.clock.now())
            host = row.health.get("host") or {}
            return BranchDetails(row, is_live, instances, is_draining, host, moving)
        found = _heard(peer)
        if row is None:
            return found
        # What was asked of it is here, and it may not have said so yet.
        return replace(found, instances=instances, is_draining=is_draining, moving=moving)

    def drain(self, id: str, is_draining: bool, has_to_move: bool = False) -> BranchDetails:
        """Give it no new instances, or some again; those it has stay, or *have to move*.

        It moves them by itself, one by one, until it is told to take some again.
        Raises ``Unavailable`` for one that cannot be told.
        """
        here = self._context.here
        check_name("branch", id)
        if id != here.id and not here.is_shared and id in self._context.presence.peers():
            raise Unavailable(f"branch {id!r} is not there to be told", "ask when it is back")
        with self._context.store.writing() as tx:
            tx.drain(id, is_draining)
            before = tx.moving(id)
            if has_to_move:
                tx.save_moving(id, (before or Moving()).asked_again())
            elif before is not None and not is_draining:
                tx.save_moving(id, replace(before, is_on=False))
        return self.get(id)

    def _is_live(self, row: Branch | None, peer: Peer | None, id: str) -> bool:
        # Whoever answers lives, even while its reconciler is being restarted.
        if id == self._context.here.id:
            return True
        return peer.is_live if peer else is_fresh(row, self._context.clock.now())


def _row(view: View, id: str, peer: Peer | None) -> Branch | None:
    """As it is stored; who has not been heard either is not there."""
    try:
        return view.branch(id)
    except NotFound:
        if peer is None:
            raise
        return None


def _heard(peer: Peer) -> BranchDetails:
    said = peer.heartbeat
    branch = Branch(
        id=said.id,
        url=said.url,
        port=said.port,
        version=said.version,
        sup_interval=said.sup_interval,
        numc=said.numc,
        loglevel=said.loglevel,
        logfile=said.logfile,
        started_at=said.started_at,
        observed_at=peer.last_seen_at,
    )
    host = {
        "load_average": said.load_average,
        "disk_use": said.disk_use,
        "memory": said.memory,
    }
    return BranchDetails(branch, peer.is_live, said.instances, said.is_draining, host, said.moving)
