"""Where a new instance goes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cyme_supd.domain.naming import nearest
from cyme_supd.domain.presence import Heartbeat, Peer
from cyme_supd.errors import Invalid, Unavailable

#: The emptier of two that chance has chosen: nearly as even as the emptiest of
#: all, and branches that were counted a moment ago do not all choose the same.
DEFAULT = "two"
RANDOM, SPREAD, PACK = "random", "spread", "pack"
PLACEMENTS = (RANDOM, SPREAD, PACK)


def check_placement(how: str | None) -> str:
    """*how*, or the default; ``Invalid`` for a word that means nothing."""
    if how is None:
        return DEFAULT
    if how not in PLACEMENTS:
        hint = nearest(how[:60], PLACEMENTS) or f"one of {', '.join(PLACEMENTS)}"
        raise Invalid("placement: there is no such one", hint)
    return how


def place(peers: Sequence[Peer], how: str, version: str, choose: Callable[[int], int]) -> str:
    """The id of the branch for a new instance, among *peers*.

    *version* is what the branch has to have at least: an older one would not
    know all that may be asked for. *choose(n)* gives a number below *n* by
    chance. Raises ``Unavailable`` where none is fit, saying why not.
    """
    fit = [peer.heartbeat for peer in peers if not why_not(peer, version)]
    if not fit:
        raise Unavailable(f"no branch takes new instances: {_reasons(peers, version)}")
    fit.sort(key=lambda beat: beat.id)
    if how == SPREAD:
        return min(fit, key=_load).id
    if how == PACK:
        return max(fit, key=lambda beat: beat.instances).id
    first = fit[choose(len(fit))]
    if how == RANDOM or len(fit) == 1:
        return first.id
    fit.remove(first)
    return min(first, fit[choose(len(fit))], key=_load).id


def why_not(peer: Peer, version: str) -> str:
    """Why *peer* gets no new instances; empty where it does."""
    beat = peer.heartbeat
    if not peer.is_live:
        return "not there"
    if beat.is_draining:
        return "draining"
    if beat.room is not None and beat.instances >= beat.room:
        return "full"
    if _number(beat.version) < _number(version):
        return f"too old ({beat.version})"
    return ""


def _load(heartbeat: Heartbeat) -> int:
    return heartbeat.instances


def _number(version: str) -> tuple[int, ...]:
    """Of ``1.2.0rc1`` (1, 2): what a patch changes is nothing that can be asked for."""
    parts = version.split(".")[:2]
    return tuple(int(part) if part.isdecimal() else 0 for part in parts)


def _reasons(peers: Sequence[Peer], version: str) -> str:
    said = sorted((peer.heartbeat.id, why_not(peer, version)) for peer in peers)
    return ", ".join(f"{id} is {why}" for id, why in said) or "none is known"
