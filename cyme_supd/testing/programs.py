"""Programs without a supervisord: they do what a test says, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from itertools import count

from cyme_supd.domain.naming import check_instance_name
from cyme_supd.domain.status import Process, ProcessState
from cyme_supd.errors import Conflict, CymeError, NotFound, Unavailable

_DOWN = (ProcessState.STOPPED, ProcessState.EXITED, ProcessState.FATAL)


class FakePrograms:
    """:class:`cyme_supd.domain.ports.Programs` in memory.

    What a process would do by itself a test does for it: :meth:`run` (it
    stayed up), :meth:`end` (it is gone). One that was asked to stop goes on
    until then, unless ``is_obedient``: then it is gone at once. ``failure``
    is what every call raises, ``now`` the clock of the processes.
    """

    def __init__(self, is_obedient: bool = False) -> None:
        self.is_obedient = is_obedient
        self.failure: CymeError | None = None
        self.now = 1_000_000.0
        self.calls: list[tuple[str, ...]] = []
        self._foreign: set[str] = set()
        self._processes: dict[str, Process] = {}
        self._stop_timeouts: dict[str, int] = {}
        self._sections: set[str] = set()
        self._pids = count(1001)
        self._condition = threading.Condition()
        self._changed: set[str] = set()

    # The port

    def processes(self, names: Collection[str] | None = None) -> dict[str, Process]:
        with self._condition:
            self._check()
            return {
                name: process
                for name, process in self._processes.items()
                if name not in self._foreign and (names is None or name in names)
            }

    def stop_timeout_s(self, name: str) -> int | None:
        return self._stop_timeouts.get(name)

    def sections(self) -> set[str]:
        return set(self._sections)

    def apply(self, name: str, stop_timeout_s: int) -> None:
        check_instance_name(name)
        with self._condition:
            self._called("apply", name)
            if name in self._foreign:
                raise Conflict(f"{name} is not a program of Cyme's")
            self._sections.add(name)
            self._stop_timeouts[name] = stop_timeout_s
            self._set(self._processes.get(name) or Process(name, ProcessState.STOPPED))

    def start(self, names: Sequence[str]) -> None:
        self._each("start", names, self._start)

    def stop(self, names: Sequence[str]) -> None:
        self._each("stop", names, self._stop)

    def kill(self, names: Sequence[str]) -> None:
        self._each("kill", names, self._kill)

    def remove(self, name: str) -> None:
        check_instance_name(name)
        with self._condition:
            self._called("remove", name)
            if name in self._foreign:
                return
            process = self._processes.get(name)
            if process is not None and process.state not in (*_DOWN, ProcessState.UNKNOWN):
                raise Conflict(f"{name} has not ended")
            self._processes.pop(name, None)
            self._stop_timeouts.pop(name, None)
            self._sections.discard(name)
            self._tell(name)

    # What the branch's listener thread uses

    @property
    def is_reachable(self) -> bool:
        return self.failure is None

    @property
    def reason(self) -> str:
        return "" if self.failure is None else self.failure.message

    def listen(
        self,
        stop: threading.Event,
        on_change: Callable[[set[str]], None],
        beat: Callable[[], None],
    ) -> None:
        while not stop.is_set():
            beat()
            with self._condition:
                self._condition.wait_for(lambda: self._changed, 0.05)
                changed, self._changed = self._changed, set()
            if changed:
                on_change(changed)

    # What a test does

    def run(self, name: str) -> None:
        """It stayed up for long enough."""
        self._become(name, ProcessState.RUNNING)

    def end(self, name: str, exit_status: int = 0) -> None:
        """The process is gone, as asked or by itself; nothing respawns it."""
        with self._condition:
            process = self._processes[name]
            was_asked = process.state is ProcessState.STOPPING
            state = ProcessState.STOPPED if was_asked else ProcessState.EXITED
            self._set(_ended(process, state, self.now, exit_status))

    def respawn(self, name: str) -> int:
        """The process was lost and supervisord started another; its pid."""
        with self._condition:
            process = self._processes[name]
            self._spawn(_ended(process, ProcessState.EXITED, self.now, -1))
            return self.pid(name)

    def fail(self, name: str, state: ProcessState, spawn_error: str = "") -> None:
        """It ended up in BACKOFF, FATAL or UNKNOWN."""
        with self._condition:
            process = _ended(self._processes[name], state, self.now, None)
            self._set(replace(process, spawn_error=spawn_error))

    def pid(self, name: str) -> int:
        return self._processes[name].pid or 0

    def lose(self, failure: CymeError | None = None) -> None:
        """supervisord cannot be reached until :meth:`find`."""
        with self._condition:
            self.failure = failure or Unavailable("supervisord cannot be reached")
            self._tell(*self._processes)

    def find(self) -> None:
        with self._condition:
            self.failure = None
            self._tell(*self._processes)

    def forget_all(self) -> None:
        """Another supervisord is there, which has read the sections and runs nothing."""
        with self._condition:
            names = set(self._processes) | self._sections
            self._processes = {
                name: Process(name, ProcessState.STOPPED) for name in sorted(self._sections)
            }
            self._tell(*names)

    def add_foreign(self, name: str) -> None:
        """A program of somebody else's, which runs."""
        with self._condition:
            self._foreign.add(name)
            self._spawn(Process(name, ProcessState.STOPPED))

    def _each(self, verb: str, names: Sequence[str], act: Callable[[Process], None]) -> None:
        """All of them are tried; then the first error is raised."""
        first: CymeError | None = None
        with self._condition:
            self._called(verb, *names)
            for name in names:
                process = self._processes.get(name)
                if process is None or name in self._foreign:
                    first = first or NotFound(f"there is no program {name}")
                else:
                    act(process)
        if first is not None:
            raise first

    def _start(self, process: Process) -> None:
        if process.state in _DOWN:
            self._spawn(process)

    def _stop(self, process: Process) -> None:
        if process.state is ProcessState.BACKOFF:
            self._set(_ended(process, ProcessState.STOPPED, self.now, None))
        elif process.state.is_up:
            self._set(replace(process, state=ProcessState.STOPPING))
            if self.is_obedient:
                self.end(process.name)

    def _kill(self, process: Process) -> None:
        if process.state is ProcessState.BACKOFF or process.state.has_process:
            self._set(_ended(process, ProcessState.STOPPED, self.now, -1))

    def _spawn(self, process: Process) -> None:
        self._set(
            replace(
                process,
                state=ProcessState.STARTING,
                pid=next(self._pids),
                started_at=self.now,
                exit_status=None,
                spawn_error="",
            )
        )

    def _become(self, name: str, state: ProcessState) -> None:
        with self._condition:
            self._set(replace(self._processes[name], state=state))

    def _set(self, process: Process) -> None:
        self._processes[process.name] = process
        self._tell(process.name)

    def _tell(self, *names: str) -> None:
        self._changed.update(names)
        self._condition.notify_all()

    def _called(self, *call: str) -> None:
        self._check()
        self.calls.append(call)

    def _check(self) -> None:
        if self.failure is not None:
            raise type(self.failure)(self.failure.message, self.failure.hint)


def _ended(process: Process, state: ProcessState, at: float, exit_status: int | None) -> Process:
    return replace(process, state=state, pid=None, stopped_at=at, exit_status=exit_status)
