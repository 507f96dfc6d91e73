"""How the answers of all branches become one.

Each takes the answer that was given here, as JSON, and those of the others by
branch; what it gives back is the body. Who did not answer is named in a list
``unknown`` where the body has room for it, else in a header.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from cyme_supd.domain.attention import LEVELS
from cyme_supd.domain.samples import combined

#: By branch, what the others answered, and why the rest did not.
Answers = Mapping[str, Any]
Unknown = Mapping[str, str]
Merge = Callable[[Any, Answers, Unknown], Any]


def names(here: list[str], others: Answers, unknown: Unknown) -> list[str]:
    return sorted({*here, *(name for each in others.values() for name in each)})


def app(here: dict[str, Any], others: Answers, unknown: Unknown) -> dict[str, Any]:
    instances = names(here["instances"], {id: each["instances"] for id, each in others.items()}, {})
    return {**here, "instances": instances}


def plan(here: dict[str, Any], others: Answers, unknown: Unknown) -> dict[str, Any]:
    everybody = [here, *others.values()]
    running = _joined(each["tasks"]["running"] for each in everybody)
    looks = [each["observed_at"] for each in everybody if each["observed_at"]]
    silent = [{"branch": branch, "reason": why} for branch, why in sorted(unknown.items())]
    return {
        **here,
        **{
            key: sorted(_joined(each[key] for each in everybody))
            for key in ("restarting", "stopping")
        },
        "actions": _joined(each["actions"] for each in everybody),
        "turns": _joined(each["turns"] for each in everybody),
        "tasks": {"count": len(running), "running": running},
        "unknown": [*_joined(each["unknown"] for each in everybody), *silent],
        "waits_for": next((each["waits_for"] for each in everybody if each["waits_for"]), None),
        "observed_at": min(looks, default=None),
    }


def orphans(here: dict[str, Any], others: Answers, unknown: Unknown) -> dict[str, Any]:
    """Nobody takes care of a message only if no branch does."""
    everybody = [here, *others.values()]
    silent = [{"what": f"branch {id}", "reason": why} for id, why in sorted(unknown.items())]
    return {
        "queues": _common([each["queues"] for each in everybody]),
        "tasks": _common([each["tasks"] for each in everybody]),
        "consumers": _distinct(_joined(each["consumers"] for each in everybody)),
        "processes": _joined(each["processes"] for each in everybody),
        "unknown": [*_distinct(_joined(each["unknown"] for each in everybody)), *silent],
    }


#: From what somebody has to look at to what went well.
_ROLLOUT_STATES = ("stopped", "running", "aborted", "done", None)


def rollout(here: dict[str, Any], others: Answers, unknown: Unknown) -> dict[str, Any]:
    """As far as the branch that is worst off; each restarts its own."""
    everybody = [here, *(each for each in others.values() if each["number"] == here["number"])]
    worst = min(everybody, key=lambda each: _ROLLOUT_STATES.index(each["state"]))
    return {
        **here,
        "state": worst["state"],
        "stopped_at": worst["stopped_at"],
        "reason": worst["reason"],
        "restarted": _joined(each["restarted"] for each in everybody),
        "left": _joined(each["left"] for each in everybody),
    }


def overview(here: dict[str, Any], others: Answers, unknown: Unknown) -> dict[str, Any]:
    """Apps and queues as they are here: all have the same, sooner or later."""
    everybody = [each["data"] for each in (here, *others.values())]
    instances = sorted(
        _joined(each["instances"] for each in everybody),
        key=lambda one: (LEVELS.index(one["level"]), one["name"]),
    )
    queues = _queues([each["queues"] for each in everybody])
    return {"data": {**here["data"], "queues": queues, "instances": instances}}


def _queues(lists: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Those that are here; how they are is known to whoever has instances that consume."""
    by_name = defaultdict(list)
    for each in _joined(lists):
        by_name[each["app"], each["name"]].append(each)
    return [
        {**one, **{key: _most(by_name[one["app"], one["name"]], key) for key in WAITING}}
        for one in lists[0]
    ]


#: How a queue is.
WAITING = ("depth", "oldest_s")


def _most(queues: Iterable[Mapping[str, Any]], key: str) -> float | None:
    return max((each[key] for each in queues if each.get(key) is not None), default=None)


def samples(here: dict[str, Any], others: Answers, unknown: Unknown) -> dict[str, Any]:
    """One line for all."""
    return {"data": combined(each["data"] for each in (here, *others.values()))}


def audit(here: dict[str, Any], others: Answers, unknown: Unknown) -> dict[str, Any]:
    """As one list, the newest first, as long as any."""
    everybody = [each["data"] for each in (here, *others.values())]
    events = sorted(
        _joined(each["events"] for each in everybody), key=lambda one: str(one["at"]), reverse=True
    )
    limit = here["data"]["limit"]
    return {"data": {"events": events[:limit], "limit": limit}}


def _joined(lists: Iterable[Sequence[Any]]) -> list[Any]:
    return [each for part in lists for each in part]


def _common(lists: Sequence[Sequence[Any]]) -> list[Any]:
    """What is in all of them, in the words of the first."""
    elsewhere = [{_name(each) for each in part} for part in lists[1:]]
    return [each for each in lists[0] if all(_name(each) in part for part in elsewhere)]


def _distinct(things: Sequence[Any]) -> list[Any]:
    return list({json.dumps(each, sort_keys=True): each for each in things}.values())


def _name(thing: Mapping[str, Any]) -> tuple[Any, ...]:
    # How many wait differs from one look to the next.
    return thing["name"], thing.get("queue")
