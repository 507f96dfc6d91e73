"""Ends the programs when supervisord stops. Runs inside it.

Left alone supervisord ends one group in a turn of its loop and waits for
each; here everything of a phase is signalled at once, and the next phase
begins when the last of it is gone.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from supervisor.options import make_namespec
from supervisor.process import EventListenerPool
from supervisor.states import (
    STOPPED_STATES,
    ProcessStates,
    SupervisorStates,
)

from cyme_supd.supervisord import TREE

REPORT_EVERY_S = 2.0
_NAMES_IN_REPORT = 10

_FRONT = frozenset({"web", "branch"})


class PhasedStop:
    """Workers, and whatever else there is; then web and branch; then the rest.

    ``announce`` gets a line, every two seconds, with who is still finishing. Of
    groups that ``is_concerned`` is not so of, supervisord itself takes care, as
    ever: one after the other.
    """

    def __init__(
        self,
        supervisord: Any,
        announce: Callable[[str], None],
        is_concerned: Callable[[Any], bool] | None = None,
    ) -> None:
        self._supervisord = supervisord
        self._announce = announce
        self._is_alone = is_concerned is None
        self._is_concerned = is_concerned or _is_any
        self._is_stopping = False
        self._is_cold = False
        self._report_at = 0.0

    def on_stopping(self, _event: object) -> None:
        # What it would stop by itself, one group after the other.
        groups = self._supervisord.stop_groups
        self._supervisord.stop_groups = [each for each in groups if not self._is_concerned(each)]
        self._is_stopping = True
        self._report_at = time.monotonic() + REPORT_EVERY_S
        self._silence()

    def kill_all(self) -> None:
        """From the next step on no phases and no waiting."""
        self._supervisord.options.mood = SupervisorStates.SHUTDOWN
        self._is_cold = True

    def is_due(self) -> bool:
        if not self._is_stopping:
            return False
        self._silence()
        return self._is_cold or time.monotonic() >= self._report_at

    def step(self) -> None:
        """Signal whoever is to end now and was not told yet."""
        if not self._is_stopping:
            return
        left = list(self._left())
        phase = _first_phase(left)
        if self._is_cold:
            self._is_cold = False
            for _, process in left:
                kill(process)
        else:
            for _, process in phase:
                stop(process)
        self._report(phase)

    def _left(self) -> Iterator[tuple[Any, Any]]:
        for group in filter(self._is_concerned, self._supervisord.process_groups.values()):
            for process in group.processes.values():
                if process.get_state() not in STOPPED_STATES:
                    yield group, process

    def _report(self, phase: list[tuple[Any, Any]]) -> None:
        if phase and time.monotonic() >= self._report_at:
            self._report_at = time.monotonic() + REPORT_EVERY_S
            names = [
                make_namespec(group.config.name, process.config.name) for group, process in phase
            ]
            self._announce(f"still finishing: {_listed(sorted(names))}")

    def _silence(self) -> None:
        # Its own report has every name in it, and shows at some levels only.
        if self._is_alone:
            self._supervisord.lastshutdownreport = time.time()


def stop(process: Any) -> None:
    """Ask *process* to end; one that waits for its next try is stopped at once."""
    if process.get_state() in (
        ProcessStates.RUNNING,
        ProcessStates.STARTING,
        ProcessStates.BACKOFF,
    ):
        process.stop()


def kill(process: Any) -> None:
    """SIGKILL to *process* and all of its process group, in whatever state."""
    pid = process.pid
    if process.get_state() not in STOPPED_STATES:
        process.kill(signal.SIGKILL)
    # It is not reaped before this turn is over, so the number is still its
    # own. Just after its fork it leads no group yet.
    for send in (os.killpg, os.kill) if pid else ():
        with suppress(ProcessLookupError, PermissionError):
            send(pid, signal.SIGKILL)


def _first_phase(left: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Those of *left* that end first."""
    for is_in_phase in (_is_outside, _is_front, _is_any):
        phase = [(group, process) for group, process in left if is_in_phase(group, process)]
        if phase:
            return phase
    return []


def _is_outside(group: Any, _process: Any) -> bool:
    # Listeners last: they are told of the others' ends.
    return group.config.name != TREE and not isinstance(group, EventListenerPool)


def _is_front(group: Any, process: Any) -> bool:
    return group.config.name == TREE and process.config.name in _FRONT


def _is_any(*_: Any) -> bool:
    return True


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMES_IN_REPORT
    shown = ", ".join(names[:_NAMES_IN_REPORT])
    return f"{shown} and {more} more" if more > 0 else shown
