"""Launch files in memory."""

from __future__ import annotations

from collections.abc import Mapping

from cyme_supd.domain.launch import Launch
from cyme_supd.domain.status import Running
from cyme_supd.errors import Unavailable


class MemoryLaunches:
    """:class:`cyme_supd.domain.ports.Launches` without files.

    :meth:`launched` is what the launcher would do: a process starts with
    what is written at that moment. ``locked`` are the names of those whose
    process has not ended.
    """

    def __init__(self) -> None:
        self._written: dict[str, Launch] = {}
        self._running: dict[str, Running] = {}
        self.locked: set[str] = set()

    def write(self, name: str, launch: Launch) -> None:
        self._written[name] = launch

    def written(self, name: str) -> str | None:
        launch = self._written.get(name)
        return launch.digest if launch else None

    def queues(self, name: str) -> Mapping[str, str]:
        launch = self._written.get(name)
        entries = launch.boot["queues"] if launch else []
        return {entry["name"]: entry["digest"] for entry in entries}

    def running(self, name: str, pid: int) -> Running | None:
        known = self._running.get(name)
        return known if known is not None and known.pid == pid else None

    def remove(self, name: str) -> None:
        if self.is_locked(name):
            raise Unavailable(f"a process of {name} has not ended yet")
        self._written.pop(name, None)
        self._running.pop(name, None)

    def is_locked(self, name: str) -> bool:
        return name in self.locked

    def launched(self, name: str, pid: int) -> None:
        """Process *pid* got as far as the launcher brings it."""
        self._running[name] = Running(pid, self._written[name].identity)
