"""Who is there, from heartbeats, and what many of them answered. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from cyme_supd.errors import CymeError

#: Heartbeats that may be missed before a branch has lapsed.
MISSED_BEATS = 3
#: How long one that has lapsed is remembered.
REMEMBERED_S = 7 * 86400.0
DEFAULT_INTERVAL_S = 2.0
#: So many heartbeats a second are heard by each process, however many branches there are.
MOST_HEARD = 25.0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a branch says of itself to all others, every ``interval_s``.

    ``load_average``, ``memory`` and ``disk_use`` are as the host tells them,
    ``None`` where it does not. ``room`` is how many workers its supervisord
    can run, ``moving`` how far it is that moves its instances away, ``digest``
    stands for its catalogue. ``address`` is where questions to this process go;
    its mailbox fills it in.
    """

    id: str
    url: str
    port: int
    version: str
    started_at: datetime
    sup_interval: float
    numc: int
    loglevel: str
    logfile: str | None = None
    load_average: tuple[float, ...] | None = None
    memory: Mapping[str, int] | None = None
    disk_use: float | None = None
    instances: int = 0
    room: int | None = None
    is_draining: bool = False
    digest: str = ""
    interval_s: float = DEFAULT_INTERVAL_S
    is_leaving: bool = False
    moving: Mapping[str, Any] | None = None
    address: str = ""


@dataclass(frozen=True, slots=True)
class Peer:
    """A branch as it was last heard; one that is not live has lapsed."""

    heartbeat: Heartbeat
    last_seen_at: datetime
    is_live: bool


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a question to many came to, by branch.

    ``silent`` are those that have not answered, in order: also the lapsed,
    who were not even asked.
    """

    answers: Mapping[str, Any] = field(default_factory=dict)
    errors: Mapping[str, CymeError] = field(default_factory=dict)
    silent: tuple[str, ...] = ()


def growing_s(branches: int, least_s: float = DEFAULT_INTERVAL_S) -> float:
    """How often one of so many branches beats.

    Everybody hears everybody: what a broker delivers would grow with the square
    of their number, and so grows with the number.
    """
    return max(least_s, branches / MOST_HEARD)


class Heard(StrEnum):
    """What a heartbeat tells that was not known."""

    SAME = "same"
    #: A branch that was not live, or another process of it.
    CAME = "came"
    LEFT = "left"
    #: Not the process that counts: of two of one branch the later started.
    RIVAL = "rival"


@dataclass(frozen=True, slots=True)
class _Known:
    heartbeat: Heartbeat
    heard_at: float
    last_seen_at: datetime

    def is_live(self, now: float) -> bool:
        beat = self.heartbeat
        return not beat.is_leaving and now - self.heard_at <= MISSED_BEATS * beat.interval_s


class Roll:
    """Everybody who was heard in the last week.

    ``now`` is the hearer's monotonic clock: what the sender's says does not
    count. Not for several threads at once.
    """

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def hear(self, heartbeat: Heartbeat, now: float, at: datetime) -> Heard:
        """Take a heartbeat that came *now*, which is *at* on the wall clock."""
        before = self._known.get(heartbeat.id)
        was_live = before is not None and before.is_live(now)
        if before is not None and was_live and _is_older(heartbeat, before.heartbeat):
            return Heard.RIVAL
        self._known[heartbeat.id] = _Known(heartbeat, now, at)
        if heartbeat.is_leaving:
            return Heard.LEFT if was_live else Heard.SAME
        is_same = before is not None and before.heartbeat.started_at == heartbeat.started_at
        return Heard.SAME if was_live and is_same else Heard.CAME

    def remember(self, peer: Peer, now: float, at: datetime) -> None:
        """One that an earlier process heard: it has lapsed, until it is heard here."""
        heartbeat = peer.heartbeat
        ago_s = max(
            (at - peer.last_seen_at).total_seconds(), (MISSED_BEATS + 1) * heartbeat.interval_s
        )
        self._known.setdefault(heartbeat.id, _Known(heartbeat, now - ago_s, peer.last_seen_at))

    def peers(self, now: float) -> dict[str, Peer]:
        """Live and lapsed ones, by id."""
        self._forget(now)
        return {
            id: Peer(known.heartbeat, known.last_seen_at, known.is_live(now))
            for id, known in self._known.items()
        }

    def _forget(self, now: float) -> None:
        old = [id for id, known in self._known.items() if now - known.heard_at > REMEMBERED_S]
        for id in old:
            del self._known[id]


def _is_older(heartbeat: Heartbeat, than: Heartbeat) -> bool:
    return heartbeat.started_at < than.started_at
