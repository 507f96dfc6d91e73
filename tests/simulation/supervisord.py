"""supervisord with the extension in it, as a machine of states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cyme_supd.domain.status import ProcessState
from cyme_supd.errors import Conflict, CymeError, NotFound, ShuttingDown
from tests.simulation.processes import Process

if TYPE_CHECKING:
    from tests.simulation.world import World

S = ProcessState
STARTSECS_S = 10.0
FOREIGN = "theirs"


@dataclass
class Program:
    """Deadlines are by the wall clock, as supervisord has them."""

    name: str
    stop_timeout_s: int
    is_ours: bool = True
    state: ProcessState = S.STOPPED
    process: Process | None = None
    backoff: int = 0
    started_at: float = 0.0
    stopped_at: float = 0.0
    exit_status: int | None = None
    due_at: float | None = None


class Supervisord:
    """One at a time; ``number`` counts their lives. It starts what ends by itself.

    ``on_change`` is called when there is news for whoever waits for it.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.number = 0
        self.is_alive = self.is_hung = self.is_stopping = False
        self.programs: dict[str, Program] = {}
        self.on_change: Callable[[], None] | None = None
        self._version = 0
        self._changed: dict[str, int] = {}
        self._removed: dict[str, int] = {}
        # Calls of those who may have given up by now.
        self._unread: list[Callable[[], object]] = []

    # Its life

    def begin(self) -> None:
        if self.is_alive:
            return
        self.number += 1
        self.is_alive, self.is_hung, self.is_stopping = True, False, False
        self._version, self._changed, self._removed = 0, {}, {}
        sections = sorted(self.world.disk.sections.items())
        self.programs = {name: Program(name, timeout_s) for name, timeout_s in sections}
        theirs = self.programs[FOREIGN] = Program(FOREIGN, 10, is_ours=False, state=S.RUNNING)
        theirs.started_at = self.world.scheduler.wall_s
        self.world.scheduler.tell("supervisord: is there (%s)", self.number)

    def die(self) -> None:
        """Killed, or at its end; the kernel tells its children."""
        if not self.is_alive:
            return
        self.world.scheduler.tell("supervisord: is gone")
        self.is_alive, programs, self.programs = False, self.programs, {}
        self._unread.clear()
        for program in programs.values():
            if program.process is not None:
                program.process.orphan()

    def shut_down(self) -> None:
        """Asked to end: workers first, warmly; then itself."""
        if not self.is_alive or self.is_hung or self.is_stopping:
            return
        self.world.scheduler.tell("supervisord: stops")
        self.is_stopping = True
        for program in self.programs.values():
            if program.is_ours:
                self._stop(program)
        self._tell()
        self._end_if_empty(self.number)

    def _end_if_empty(self, number: int) -> None:
        if not self.is_alive or number != self.number:
            return
        if any(program.process for program in self.programs.values()):
            self.world.scheduler.after(0.5, self._end_if_empty, number)
        else:
            self.world.end_supervisord()

    def hang(self) -> None:
        self.is_hung = self.is_alive

    def go_on(self) -> None:
        if not self.is_hung:
            return
        self.is_hung = False
        unread, self._unread = self._unread, []
        for call in unread:
            try:
                call()
            except CymeError as exc:
                self.world.scheduler.tell("supervisord: nobody hears %s", exc)
        self.check_deadlines()
        self._tell()

    def read_later(self, call: Callable[[], object]) -> None:
        """What it finds in its socket once it goes on."""
        self._unread.append(call)

    # The extension

    def apply(self, name: str) -> None:
        self._check_stopping()
        program = self.programs.get(name)
        if program is not None and not program.is_ours:
            raise Conflict(f"{name} is not a program of Cyme's")
        timeout_s = self.world.disk.sections.get(name)
        if timeout_s is None:
            raise CymeError(f"{name}: no such file")
        if program is None:
            program = self.programs[name] = Program(name, timeout_s)
            self._removed.pop(name, None)
        program.stop_timeout_s = timeout_s
        self._touch(program)

    def start(self, name: str) -> None:
        program = self._program(name)
        if program.state in (S.STARTING, S.RUNNING, S.BACKOFF):
            return
        if program.state in (S.STOPPING, S.UNKNOWN):
            raise Conflict(f"{name} has not ended")
        self._spawn(program)

    def stop(self, name: str) -> None:
        program = self._program(name)
        self._stop(program)

    def kill(self, name: str) -> None:
        program = self._program(name)
        if program.process is not None:
            program.state = S.STOPPING
            self._touch(program)
            program.process.kill()
        elif program.state is S.BACKOFF:
            self._stop(program)

    def remove(self, name: str) -> None:
        self._check_stopping()
        program = self.programs.get(name)
        if program is None:
            return
        if not program.is_ours:
            raise NotFound(f"{name} is not a program of Cyme's")
        if program.state not in (S.STOPPED, S.EXITED, S.FATAL, S.UNKNOWN):
            raise Conflict(f"{name} has not ended")
        del self.programs[name]
        self._changed.pop(name, None)
        self._version += 1
        self._removed[name] = self._version
        self._tell()

    def changes(self, position: str) -> dict[str, Any] | None:
        """As :meth:`cyme_supd.supervisord.client.Supervisord.changes`; nobody waits."""
        if self.is_stopping:
            raise ShuttingDown("supervisord is stopping")
        number, _, version = position.partition(":")
        is_full = number != str(self.number)
        since = 0 if is_full else int(version)
        if not is_full and since == self._version:
            return None
        names = self.programs if is_full else [n for n, v in self._changed.items() if v > since]
        return {
            "position": f"{self.number}:{self._version}",
            "full": is_full,
            "programs": [_record(self.programs[name]) for name in names],
            "removed": [n for n, v in self._removed.items() if v > since and not is_full],
        }

    # What happens inside

    def give_up(self, name: str) -> None:
        """It will start the program no more."""
        program = self.programs.get(name)
        if program is not None and program.state is S.BACKOFF:
            program.state, program.due_at = S.FATAL, None
            self.world.laws.on_given_up(name)
            self._touch(program)

    def clock_jumped(self, seconds: float) -> None:
        """It notices a clock that was set back, and not one that was set forward."""
        for program in self.programs.values():
            if seconds < 0 and program.due_at is not None:
                program.due_at += seconds
        self.check_deadlines()

    def check_deadlines(self) -> None:
        """A turn of its loop: all that is due by the wall clock."""
        if not self.is_alive or self.is_hung:
            return
        now = self.world.scheduler.wall_s
        for program in list(self.programs.values()):
            if program.due_at is not None and program.due_at <= now + 1e-6:
                self._due(program)

    def _due(self, program: Program) -> None:
        program.due_at = None
        if program.state is S.STARTING:
            program.state, program.backoff = S.RUNNING, 0
            self._touch(program)
        elif program.state in (S.BACKOFF, S.EXITED):
            if not self.is_stopping:
                self._spawn(program)
        elif program.state is S.STOPPING and program.process is not None:
            program.process.kill()

    def _wait(self, program: Program, seconds: float) -> None:
        scheduler = self.world.scheduler
        program.due_at = scheduler.wall_s + seconds
        scheduler.after(seconds + 0.001, self.check_deadlines)

    def _spawn(self, program: Program) -> None:
        scheduler = self.world.scheduler
        program.state, program.started_at = S.STARTING, scheduler.wall_s
        program.exit_status = None
        number = self.number
        program.process = self.world.spawn(
            program.name, lambda process, status: self._exited(process, status, number)
        )
        self._wait(program, STARTSECS_S)
        self._touch(program)

    def _stop(self, program: Program) -> None:
        if program.state is S.BACKOFF:
            self._stopped(program)
        elif program.state.is_up and program.process is not None:
            program.state = S.STOPPING
            self._wait(program, program.stop_timeout_s)
            self._touch(program)
            program.process.term()

    def _stopped(self, program: Program) -> None:
        program.state, program.due_at, program.process = S.STOPPED, None, None
        program.stopped_at = self.world.scheduler.wall_s
        self._touch(program)

    def _exited(self, process: Process, status: int, number: int) -> None:
        if number != self.number or not self.is_alive:
            return
        if self.is_hung:
            self.read_later(lambda: self._exited(process, status, number))
            return
        program = self.programs.get(process.name)
        if program is None or program.process is not process:
            return
        program.exit_status = status
        if program.state is S.STOPPING:
            self._stopped(program)
            return
        program.process, program.stopped_at = None, self.world.scheduler.wall_s
        if program.state is S.STARTING:
            program.state, program.backoff = S.BACKOFF, program.backoff + 1
            self._wait(program, float(program.backoff))
        else:
            program.state = S.EXITED
            self._wait(program, self.world.scheduler.between(0.001, 0.05))
        self._touch(program)

    def _program(self, name: str) -> Program:
        self._check_stopping()
        program = self.programs.get(name)
        if program is None or not program.is_ours:
            raise NotFound(f"there is no program {name} of Cyme's")
        return program

    def _check_stopping(self) -> None:
        if self.is_stopping:
            raise ShuttingDown("supervisord is stopping")

    def _touch(self, program: Program) -> None:
        self.world.scheduler.tell("supervisord: %s is %s", program.name, program.state.value)
        self._version += 1
        self._changed[program.name] = self._version
        self._tell()

    def _tell(self) -> None:
        if self.on_change is not None:
            self.on_change()


def _record(program: Program) -> dict[str, Any]:
    return {
        "name": program.name,
        "group": program.name,
        "state": program.state.value,
        "pid": program.process.pid if program.process else 0,
        "start": program.started_at,
        "stop": program.stopped_at,
        "exitstatus": program.exit_status,
        "spawnerr": "",
        "ours": program.is_ours,
        "stop_timeout_s": program.stop_timeout_s,
    }
