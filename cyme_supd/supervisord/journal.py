"""What changed among supervisord's programs, and when. Runs inside it.

Versions count changes. They mean something only within one epoch, the life
of one supervisord: a caller from another epoch gets everything.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from supervisor.events import (
    ProcessGroupAddedEvent,
    ProcessGroupRemovedEvent,
    ProcessStateEvent,
)
from supervisor.states import getProcessStateDescription

from cyme_supd.supervisord.owning import is_ours
from cyme_supd.supervisord.steady import shown

#: How many groups that are gone are remembered; who was away for more of
#: them gets everything.
REMOVALS = 1000
_SPAWN_ERROR_LENGTH = 200

#: (group, program); for a group that is gone (group, "").
Key = tuple[str, str]


class Journal:
    def __init__(self, supervisord: Any, epoch: str) -> None:
        self.epoch = epoch
        self.version = 0
        self._supervisord = supervisord
        self._changed: OrderedDict[Key, int] = OrderedDict()
        self._removed: OrderedDict[Key, int] = OrderedDict()
        # Changes up to here are no longer all remembered.
        self._forgotten = 0

    # Events only record. What they record is read in a later turn: while a
    # state changes, supervisord has not yet set the pid that goes with it.

    def on_state(self, event: ProcessStateEvent) -> None:
        group = event.process.group
        if group is not None:
            self.touch(group.config.name, event.process.config.name)

    def on_added(self, event: ProcessGroupAddedEvent) -> None:
        self._removed.pop((event.group, ""), None)
        for name in self._supervisord.process_groups[event.group].processes:
            self.touch(event.group, name)

    def on_removed(self, event: ProcessGroupRemovedEvent) -> None:
        self._changed.pop((event.group, event.group), None)
        self._record(self._removed, (event.group, ""))
        if len(self._removed) > REMOVALS:
            self._forgotten = self._removed.popitem(last=False)[1]

    def touch(self, group: str, name: str) -> None:
        self._record(self._changed, (group, name))

    def _record(self, entries: OrderedDict[Key, int], key: Key) -> None:
        self.version += 1
        entries[key] = self.version
        entries.move_to_end(key)

    def since(self, position: str) -> dict[str, Any] | None:
        """What changed after *position*; ``None`` when nothing did.

        *position* is what the last answer had as ``position``; empty for
        everything.
        """
        seen = self._seen(position)
        if seen is None:
            return self._everything()
        if seen == self.version:
            return None
        return self._delta(seen)

    def nothing(self) -> dict[str, Any]:
        """The answer for who waited and saw nothing change."""
        return self._answer([], [], is_full=False)

    def _seen(self, position: str) -> int | None:
        epoch, _, version = position.rpartition(":")
        if epoch != self.epoch or not version.isdecimal():
            return None
        return int(version) if self._forgotten <= int(version) <= self.version else None

    def _everything(self) -> dict[str, Any]:
        groups = self._supervisord.process_groups.values()
        programs = [
            record(group, process) for group in groups for process in group.processes.values()
        ]
        return self._answer(programs, [], is_full=True)

    def _delta(self, seen: int) -> dict[str, Any]:
        programs = [found for key in _newer(self._changed, seen) if (found := self._record_of(key))]
        removed = [_ascii(group) for group, _ in _newer(self._removed, seen)]
        return self._answer(programs, removed, is_full=False)

    def _record_of(self, key: Key) -> dict[str, Any] | None:
        group = self._supervisord.process_groups.get(key[0])
        process = group.processes.get(key[1]) if group is not None else None
        return None if process is None else record(group, process)

    def _answer(
        self, programs: list[dict[str, Any]], removed: list[str], is_full: bool
    ) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "version": str(self.version),
            "position": f"{self.epoch}:{self.version}",
            "full": is_full,
            "programs": programs,
            "removed": removed,
        }


def record(group: Any, process: Any) -> dict[str, Any]:
    """One program as it is now; what is not known is left out."""
    result = {
        "name": _ascii(process.config.name),
        "group": _ascii(group.config.name),
        "state": getProcessStateDescription(process.get_state()),
        "pid": process.pid,
        "start": shown(process.laststart),
        "stop": shown(process.laststop),
        "spawnerr": _ascii(process.spawnerr or "")[:_SPAWN_ERROR_LENGTH],
        "ours": is_ours(group),
        "stop_timeout_s": min(int(process.config.stopwaitsecs), 2**31 - 1),
    }
    if process.exitstatus is not None:
        result["exitstatus"] = process.exitstatus
    return result


def _newer(entries: OrderedDict[Key, int], seen: int) -> Iterator[Key]:
    """What changed after version *seen*, latest first, at the cost of its number."""
    for key, version in reversed(entries.items()):
        if version <= seen:
            return
        yield key


def _ascii(text: str) -> str:
    # supervisord gives the length of a deferred answer in characters, not in
    # bytes; and XML has no control characters.
    escaped = text.encode("ascii", "backslashreplace").decode()
    return "".join(char if char.isprintable() else "?" for char in escaped)
