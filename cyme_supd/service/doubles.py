"""Finds out which instances other branches have, too: claims cannot keep all apart.

A name may have been given on both sides of a partition, or a store been
copied. Who was not heard before is asked at once, all others now and then.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cyme_supd.clock import Clock
from cyme_supd.domain.doubles import LONG_AGO, Born, from_wire, to_wire, told, yields_to
from cyme_supd.domain.mailbox import Mailbox
from cyme_supd.domain.ports import Store
from cyme_supd.domain.presence import Gathered, Peer
from cyme_supd.domain.spec import Instance

log = logging.getLogger(__name__)

#: The mailbox's command: which of these names a branch has.
NAMES = "names"
ASK_S = 2.0
#: How many are asked at a time, and in how long so many.
MOST = 20
EVERY_S = 60.0
#: How soon one is asked again that did not say, and one that something yields to.
AGAIN_S = 5.0
SOON_S = 2.0


@dataclass(frozen=True, slots=True)
class _Due:
    """When a branch is to be asked again: that process of it, and no other."""

    started_at: datetime
    at: float


@dataclass(frozen=True, slots=True)
class _Yielding:
    """To which branch; of the instance that was created then."""

    created_at: datetime
    branch: str


class Doubles:
    """One thread calls ``restore`` and ``look``; the rest is for any."""

    def __init__(self, mailbox: Mailbox, store: Store, clock: Clock, here: str) -> None:
        self._mailbox = mailbox
        self._store = store
        self._clock = clock
        self._here = here
        self._due: dict[str, _Due] = {}
        self._elsewhere: dict[str, dict[str, datetime]] = {}
        # Replaced as a whole: others read it meanwhile.
        self._yielding: Mapping[str, _Yielding] = {}
        self._said: frozenset[str] = frozenset()

    def yields_to(self, instance: Instance) -> str | None:
        """The branch whose instance of that name runs in place of this one."""
        found = self._yielding.get(instance.name)
        return found.branch if found and found.created_at == instance.created_at else None

    def answer(self, arguments: Mapping[str, Any], _left_s: float) -> dict[str, str]:
        """Which of the ``names`` that another branch has are here, and since when."""
        asked = arguments.get("names")
        born = self._born()
        return to_wire({str(name): born[str(name)] for name in asked or () if str(name) in born})

    def restore(self) -> None:
        """What was held before this process began stays so, until its branch has been asked."""
        with self._store.reading() as view:
            statuses = view.statuses(self._here)
        for name, status in statuses.items():
            if branch := told(status.conditions):
                self._elsewhere.setdefault(branch, {})[name] = LONG_AGO
        self._judge(self._born())

    def look(self, peers: Mapping[str, Peer]) -> Sequence[str]:
        """Ask who is due, of all *peers*; the names of whom that changes something for."""
        live = {
            id: peer.heartbeat.started_at
            for id, peer in peers.items()
            if peer.is_live and id != self._here
        }
        # Who comes back may have been on the other side of a partition.
        self._due = {id: due for id, due in self._due.items() if live.get(id) == due.started_at}
        asked = self._next(live)
        born = self._born() if asked or self._yielding else {}
        if not born:
            return ()
        if asked:
            self._note(born, self._ask(born, asked))
        changed = self._judge(born)
        self._put_off(live, asked)
        return changed

    def _born(self) -> Born:
        with self._store.reading() as view:
            return view.born(self._here)

    def _next(self, live: Mapping[str, datetime]) -> list[str]:
        now = self._clock.monotonic()
        ats = {id: self._due[id].at if id in self._due else float("-inf") for id in live}
        return sorted((id for id in live if ats[id] <= now), key=lambda id: (ats[id], id))[:MOST]

    def _ask(self, born: Born, asked: Sequence[str]) -> Gathered:
        return self._mailbox.scatter(NAMES, {"names": list(born)}, ASK_S, asked)

    def _note(self, born: Born, found: Gathered) -> None:
        """Of who did not say it stays as it was: not known is not gone."""
        for branch, said in found.answers.items():
            there = from_wire(said)
            self._elsewhere[branch] = {name: there[name] for name in born if name in there}
        self._said = frozenset(found.answers)

    def _put_off(self, live: Mapping[str, datetime], asked: Sequence[str]) -> None:
        now = self._clock.monotonic()
        older = {each.branch for each in self._yielding.values()}
        for id in asked:
            wait_s = EVERY_S * max(1.0, len(live) / MOST) if id in self._said else AGAIN_S
            self._due[id] = _Due(live[id], now + (min(wait_s, SOON_S) if id in older else wait_s))

    def _judge(self, born: Born) -> list[str]:
        before = self._yielding
        found = {
            name: _Yielding(at, branch)
            for name, at in born.items()
            if (branch := yields_to(name, at, self._here, self._elsewhere)) is not None
        }
        self._yielding = found
        changed = [name for name in {*before, *found} if before.get(name) != found.get(name)]
        for name in sorted(changed):
            _tell(name, found.get(name))
        return changed


def _tell(name: str, now: _Yielding | None) -> None:
    if now is None:
        log.info("%s: no other branch has one of this name any more", name)
    else:
        log.warning("%s: held, for branch %s has an older one of this name", name, now.branch)
