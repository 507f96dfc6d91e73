"""How many files supervisord may open, and so how many workers it can run.

Without a descriptor left it would start nothing, and answer nobody.
"""

from __future__ import annotations

import resource

from cyme_supd.errors import Unavailable
from cyme_supd.supervisord.conf import descriptors_for, room_of

#: Room for as many more instances before supervisord must be started again.
HEADROOM = 400
_HINT = "raise the limit (ulimit -n, or LimitNOFILE= under systemd) and start cyme-branch again"


def claim(instances: int) -> tuple[int, str]:
    """Let this process, which becomes supervisord, open enough for *instances* and more.

    Returns how many descriptors there are, and a warning, empty where there
    is room for :data:`HEADROOM` more. Raises ``Unavailable`` where there is
    not even enough for those.
    """
    wanted, needed = descriptors_for(instances + HEADROOM), descriptors_for(instances)
    granted = _raise_limit(wanted)
    if granted < needed:
        raise Unavailable(
            f"{instances} instances need {needed} open files, and the limit here is {granted}",
            _HINT,
        )
    if granted < wanted:
        spare = room_of(granted) - instances
        return granted, f"there is room for {spare} more instances, no more: {_HINT}"
    return wanted, ""


def room() -> int:
    """How many workers the supervisord that this process is a child of can run."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return room_of(soft) if soft != resource.RLIM_INFINITY else 2**31 - 1


def _raise_limit(wanted: int) -> int:
    """The limit, at least *wanted* where that is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _is_enough(soft, wanted):
        return wanted
    if not _is_enough(hard, wanted):
        try:
            # Root may.
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return wanted
        except (ValueError, OSError):
            wanted = hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def _is_enough(limit: int, wanted: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= wanted
