"""The calls that every supervisord knows, in place of those of the extension.

They cost more. It reads all of its files again, deaf meanwhile, for each
program that is added; and nobody is told of a change, so that it is asked
every second. What a program runs with it keeps until it has ended: a section
that has changed is taken up before the next start.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from cyme_supd.errors import Conflict, CymeError, NotFound, Unavailable
from cyme_supd.supervisord.client import ENDED, Supervisord
from cyme_supd.supervisord.sections import SectionFiles

ASK_EVERY_S = 1.0
_STEP_S = 0.1
#: Of a program, what makes it another than it was.
_RECORDED = ("name", "group", "pid", "start", "stop", "spawnerr", "exitstatus")

#: A program as the extension records it, see ``journal.record``.
Record = dict[str, Any]


class StockSupervisord:
    """Has the methods of :class:`~cyme_supd.supervisord.client.Supervisord` that
    programs are run by, with the same errors.

    Those with one of our files, and the log that it says, are ours. a program
    has made sure before that the name is nobody's.
    """

    def __init__(self, server: Supervisord, sections: SectionFiles) -> None:
        self._server = server
        self._sections = sections
        # One at a time: it would read its files again for each.
        self._reading = threading.Lock()
        # They run, or ended, with another section than they have now.
        self._stale: set[str] = set()
        self._seen: dict[str, Record] = {}
        self._position = 0

    def apply(self, names: Sequence[str]) -> None:
        with self._reading:
            self._stale = self._server.reread() & self._sections.names()
            _each(names, self._apply)

    def start(self, names: Sequence[str]) -> None:
        _each(names, self._start)

    def stop(self, names: Sequence[str]) -> None:
        _each(names, self._stop)

    def kill(self, names: Sequence[str]) -> None:
        _each(names, self._kill)

    def remove(self, names: Sequence[str]) -> None:
        _each(names, self._remove)

    def changes(
        self, since: str, timeout_s: float, is_cancelled: Callable[[], bool] = lambda: False
    ) -> dict[str, Any] | None:
        """As the extension's; its position is of this object alone."""
        deadline = time.monotonic() + timeout_s
        while True:
            answer = self._compared(is_full=since != str(self._position))
            if answer is not None:
                return answer
            if time.monotonic() >= deadline:
                return self._answer([], [], is_full=False)
            asks_at = time.monotonic() + ASK_EVERY_S
            while time.monotonic() < asks_at:
                if is_cancelled():
                    return None
                time.sleep(_STEP_S)

    def _apply(self, name: str) -> None:
        found = self._find(name)
        if found is None:
            self._add(name)
        elif name in self._stale and found["state"] in ENDED:
            self._replace(name)

    def _start(self, name: str) -> None:
        found = self._ours(name)
        if found["state"] == "STOPPING":
            raise Conflict(f"supervisord: {name} is stopping")
        if found["state"] in ENDED:
            if name in self._stale:
                self._replace(name)
            # Somebody may have started it since.
            with suppress(Conflict):
                self._server.call("supervisor.startProcess", name, False)

    def _stop(self, name: str) -> None:
        if self._ours(name)["state"] not in (*ENDED, "STOPPING"):
            with suppress(Conflict):
                self._server.call("supervisor.stopProcess", name, False)

    def _kill(self, name: str) -> None:
        found = self._ours(name)
        if found["state"] in ENDED:
            return
        if found["state"] != "STOPPING":
            # Or it would be started again.
            self._stop(name)
        if found["pid"]:
            # It leads its process group from its second moment on. supervisord
            # would end the worker alone, and not those of its pool.
            for send in (os.killpg, os.kill):
                with suppress(ProcessLookupError):
                    send(found["pid"], signal.SIGKILL)

    def _remove(self, name: str) -> None:
        self._ours(name)
        self._server.call("supervisor.removeProcessGroup", name)
        self._stale.discard(name)

    def _add(self, name: str) -> None:
        try:
            self._server.call("supervisor.addProcessGroup", name)
        except NotFound:
            folder = self._sections.folder
            raise Unavailable(
                f"supervisord does not read the files in {folder}",
                f"add {folder}/*.conf to files= in [include] of its configuration",
            ) from None

    def _replace(self, name: str) -> None:
        self._server.call("supervisor.removeProcessGroup", name)
        self._add(name)
        self._stale.discard(name)

    def _ours(self, name: str) -> Record:
        found = self._find(name)
        if found is None or not found["ours"]:
            raise NotFound(f"supervisord: {name} is not a program of Cyme's")
        return found

    def _find(self, name: str) -> Record | None:
        try:
            return self._record(self._server.call("supervisor.getProcessInfo", name))
        except NotFound:
            return None

    def _record(self, told: dict[str, Any], ours: set[str] | None = None) -> Record:
        """``stop_timeout_s`` is what the file says; one that runs may have an older one."""
        name = told["name"]
        names = self._sections.names() if ours is None else ours
        is_ours = name in names and self._sections.is_ours(told)
        # Of one that never ended it says 0.
        known = [key for key in _RECORDED if key != "exitstatus" or told["stop"]]
        return {
            **{key: told[key] for key in known},
            "state": told["statename"],
            "ours": is_ours,
            "stop_timeout_s": self._sections.stop_timeout_s(name) if is_ours else None,
        }

    def _compared(self, is_full: bool) -> dict[str, Any] | None:
        """What is not as it was seen last; ``None`` where all is."""
        names = self._sections.names()
        told = self._server.call("supervisor.getAllProcessInfo")
        found = {f"{one['group']}:{one['name']}": self._record(one, names) for one in told}
        before, self._seen = self._seen, found
        changed = [one for key, one in found.items() if is_full or before.get(key) != one]
        groups = {one["group"] for one in found.values()}
        removed = sorted({one["group"] for one in before.values()} - groups)
        return self._answer(changed, removed, is_full) if changed or removed or is_full else None

    def _answer(self, programs: list[Record], removed: list[str], is_full: bool) -> dict[str, Any]:
        self._position += bool(programs or removed or is_full)
        return {
            "position": str(self._position),
            "full": is_full,
            "programs": programs,
            "removed": removed,
        }


def _each(names: Iterable[str], act: Callable[[str], None]) -> None:
    """*act* on every name; raises the first error after all of them were tried."""
    failure: CymeError | None = None
    for name in names:
        try:
            act(name)
        except CymeError as exc:
            failure = failure or exc
    if failure is not None:
        raise failure
