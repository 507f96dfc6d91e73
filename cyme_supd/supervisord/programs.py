"""The programs of one supervisord, as the reconciler sees them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from cyme_supd.domain.naming import check_instance_name
from cyme_supd.domain.status import Process, ProcessState
from cyme_supd.errors import Conflict, CymeError, NotFound, ShuttingDown, Unavailable
from cyme_supd.supervisord.sections import SectionFiles

POLL_S = 10.0
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 2.0


class Calls(Protocol):
    """What is asked of a supervisord: of the extension in it, or of what every one knows."""

    def apply(self, names: Sequence[str]) -> None: ...

    def start(self, names: Sequence[str]) -> None: ...

    def stop(self, names: Sequence[str]) -> None: ...

    def kill(self, names: Sequence[str]) -> None: ...

    def remove(self, names: Sequence[str]) -> None: ...

    def changes(
        self, since: str, timeout_s: float, is_cancelled: Callable[[], bool]
    ) -> dict[str, Any] | None: ...


class SupervisordPrograms:
    """:class:`cyme_supd.domain.ports.Programs` over calls to supervisord and files.

    One thread runs :meth:`listen`; the others read what it saw.
    """

    def __init__(self, supervisord: Calls, sections: SectionFiles) -> None:
        self._supervisord = supervisord
        self._sections = sections
        self._lock = threading.Lock()
        self._position = ""
        self._processes: dict[str, Process] = {}
        self._stop_timeouts: dict[str, int] = {}
        # Groups that are somebody else's.
        self._foreign: set[str] = set()
        self._failure: CymeError | None = Unavailable("supervisord has not answered yet")

    @property
    def is_reachable(self) -> bool:
        return self._failure is None

    @property
    def reason(self) -> str:
        """Why it is not reachable; empty when it is."""
        failure = self._failure
        return "" if failure is None else failure.message

    def processes(self, names: Collection[str] | None = None) -> dict[str, Process]:
        with self._lock:
            self._check()
            if names is None:
                return dict(self._processes)
            return {name: self._processes[name] for name in names if name in self._processes}

    def stop_timeout_s(self, name: str) -> int | None:
        with self._lock:
            return self._stop_timeouts.get(name)

    def sections(self) -> set[str]:
        """Names of the programs that have a section file."""
        return self._sections.names()

    def apply(self, name: str, stop_timeout_s: int) -> None:
        """Raises ``Conflict`` where the name is a program's that is not Cyme's."""
        others = self._sections.others()
        with self._lock:
            is_foreign = name in self._foreign or name in others
        # Two sections of one name are merged when supervisord starts, so there
        # is none of ours at no time; one may be left of an attempt that was
        # not answered.
        if is_foreign:
            self._sections.restore(name, None)
            raise Conflict(f"{name} is not a program of Cyme's")
        self._sections.write(name, stop_timeout_s)
        try:
            self._supervisord.apply([name])
        except Conflict:
            self._sections.restore(name, None)
            raise
        with self._lock:
            self._stop_timeouts[name] = stop_timeout_s

    def start(self, names: Sequence[str]) -> None:
        self._supervisord.start(names)

    def stop(self, names: Sequence[str]) -> None:
        self._supervisord.stop(names)

    def kill(self, names: Sequence[str]) -> None:
        self._supervisord.kill(names)

    def remove(self, name: str) -> None:
        """Raises ``Conflict`` while the program has not ended."""
        check_instance_name(name)
        with suppress(NotFound):
            # Not there, or somebody else's program of that name: not ours to remove.
            self._supervisord.remove([name])
        self._sections.restore(name, None)

    def listen(
        self,
        stop: threading.Event,
        on_change: Callable[[set[str]], None],
        beat: Callable[[], None],
    ) -> None:
        """Keep the snapshot up to date until *stop* is set.

        *on_change* gets the names of programs that changed: all that are
        known when supervisord was lost or found again. *beat* is called at
        least every 20 seconds.
        """
        pause = _SHORTEST_PAUSE_S
        while not stop.is_set():
            beat()
            try:
                answer = self._supervisord.changes(self._position, POLL_S, stop.is_set)
            except CymeError as exc:
                self._lose(exc, on_change)
                stop.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
                continue
            pause = _SHORTEST_PAUSE_S
            if answer is not None and (changed := self._learn(answer)):
                on_change(changed)

    def _check(self) -> None:
        failure = self._failure
        if failure is not None:
            raise type(failure)(failure.message, failure.hint)

    def _lose(self, exc: CymeError, on_change: Callable[[set[str]], None]) -> None:
        is_stopping = isinstance(exc, ShuttingDown)
        lost = exc if isinstance(exc, Unavailable) else Unavailable(exc.message, exc.hint)
        with self._lock:
            # While it stops it ends; that it can then no longer be reached
            # is no news.
            is_news = self._failure is None or (
                is_stopping and not isinstance(self._failure, ShuttingDown)
            )
            self._failure = lost
            known = set(self._processes)
        if is_news:
            on_change(known)

    def _learn(self, answer: Mapping[str, Any]) -> set[str]:
        records = answer["programs"]
        seen = {record["name"]: record for record in records if record["ours"]}
        foreign = {record["group"] for record in records if not record["ours"]}
        with self._lock:
            kept = set() if answer["full"] else self._foreign
            self._foreign = kept - set(answer["removed"]) - seen.keys() | foreign
            gone = set(answer["removed"])
            changed = (gone & self._processes.keys()) | seen.keys()
            if answer["full"] or self._failure is not None:
                changed |= self._processes.keys()
            if answer["full"]:
                gone = set(self._processes) - seen.keys()
            for name in gone:
                self._processes.pop(name, None)
                self._stop_timeouts.pop(name, None)
            for name, record in seen.items():
                self._processes[name] = _process(record)
                self._stop_timeouts[name] = record["stop_timeout_s"]
            self._failure = None
            self._position = answer["position"]
        return changed


def _process(record: Mapping[str, Any]) -> Process:
    return Process(
        name=record["name"],
        state=ProcessState(record["state"]),
        pid=record["pid"] or None,
        started_at=record["start"] or None,
        stopped_at=record["stop"] or None,
        exit_status=record.get("exitstatus"),
        spawn_error=record["spawnerr"],
    )
