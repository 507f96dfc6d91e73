"""The part of Cyme that runs inside supervisord::

    [rpcinterface:cyme]
    supervisor.rpcinterface_factory = cyme_supd.supervisord.rpcinterface:make_cyme_rpcinterface
    conf_dir = /absolute/folder/of/the/sections
    own = true

With ``own`` the supervisord is Cyme's, and so are its signals, its clock, its
log and the order in which it stops. Without, it was there before: what is in
it besides Cyme's programs is treated as it would be if this were not here.

One thread does everything there, so no method waits, and none reads more
than the files it was given the names of. Events' callbacks only record and
kick the wake pipe; what is to be done about them is done in its read
handler, for acting inside a callback makes further events inside it.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from supervisor import events
from supervisor.http import NOT_DONE_YET
from supervisor.states import SupervisorStates
from supervisor.xmlrpc import Faults, RPCError

from cyme_supd import __version__
from cyme_supd.supervisord import PREFIX, SUPERVISORD_PID, groups, steady
from cyme_supd.supervisord.answering import read_at_once
from cyme_supd.supervisord.guard import answered, check_arguments, contained
from cyme_supd.supervisord.journal import Journal
from cyme_supd.supervisord.logs import Logs
from cyme_supd.supervisord.owning import is_cymes
from cyme_supd.supervisord.signals import Signals
from cyme_supd.supervisord.stopping import PhasedStop
from cyme_supd.supervisord.wake import WakePipe, answer_waiting_calls

LONGEST_WAIT_S = 60.0
LONGEST_BACKOFF_S = 30

_extension: Extension | None = None


def make_cyme_rpcinterface(supervisord: Any, **config: str) -> CymeNamespace:
    """Called by supervisord once for each of its HTTP servers, and again
    after a reload."""
    global _extension
    unknown = sorted(set(config) - {"conf_dir", "hint_socket", "own"})
    if unknown or not os.path.isabs(config.get("conf_dir", "")):
        raise ValueError(f"[rpcinterface:cyme] needs an absolute conf_dir, and not: {unknown}")
    if _extension is None or _extension.supervisord is not supervisord:
        make = OwnExtension if config.get("own") == "true" else Extension
        _extension = make(supervisord, config["conf_dir"], config.get("hint_socket", ""))
    return CymeNamespace(_extension)


class Extension:
    """Its parts, and which event goes where."""

    is_own = False

    def __init__(self, supervisord: Any, conf_dir: str, hint_socket: str) -> None:
        self.supervisord = supervisord
        self.conf_dir = conf_dir
        self._hint_socket = hint_socket
        self.logger = supervisord.options.logger
        self._prepare()
        self.journal = Journal(supervisord, f"{os.getpid()}-{time.time_ns()}")
        self.groups = groups.Groups(supervisord, self.journal, self._path)
        self.stop = self._phased_stop()
        handlers = (self.stop.step, *self._handlers(), answer_waiting_calls)
        self.wake = WakePipe(
            [contained(self.logger, handler, None) for handler in handlers],
            contained(self.logger, self._is_due, False),
        )
        self.wake.open()
        for event, callback in self._callbacks():
            events.subscribe(event, self._recording(callback))
        self._close_with(supervisord.options)

    @property
    def is_stopping(self) -> bool:
        return bool(self.supervisord.options.mood < SupervisorStates.RUNNING)

    def _prepare(self) -> None:
        """Before any of the parts is made."""

    def _path(self, name: str) -> str:
        return os.path.join(self.conf_dir, f"{PREFIX}{name}.conf")

    def _phased_stop(self) -> PhasedStop:
        return PhasedStop(self.supervisord, self.logger.info, is_cymes)

    def _handlers(self) -> tuple[Callable[[], None], ...]:
        return ()

    def _is_due(self) -> bool:
        return self.stop.is_due()

    def _callbacks(self) -> Iterator[tuple[Any, Callable[[Any], None]]]:
        yield events.ProcessStateEvent, self.journal.on_state
        yield events.ProcessStateBackoffEvent, _pace_retry
        yield events.ProcessGroupAddedEvent, self.journal.on_added
        yield events.ProcessGroupRemovedEvent, self.journal.on_removed
        yield events.SupervisorRunningEvent, self._on_running
        yield events.SupervisorStoppingEvent, self.stop.on_stopping

    def _on_running(self, _event: Any) -> None:
        # Only now are its servers there.
        read_at_once(self.supervisord.options)

    def _recording(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        record = contained(self.logger, callback, None)

        def call(event: Any) -> None:
            record(event)
            self.wake.kick()

        return call

    def _close_with(self, options: Any) -> None:
        """supervisord has no event for its end; this is the last it calls."""
        cleanup = options.cleanup

        def close_and_cleanup() -> None:
            contained(self.logger, self._close, None)()
            contained(self.logger, self.wake.close, None)()
            # A branch that was killed could not.
            with suppress(OSError):
                os.unlink(self._hint_socket)
            cleanup()

        options.cleanup = close_and_cleanup

    def _close(self) -> None:
        """What is left to do at the end."""


class OwnExtension(Extension):
    """Of a supervisord that runs for Cyme alone."""

    is_own = True

    def _prepare(self) -> None:
        steady.install()
        self._logs = Logs(self.logger)
        self.supervisord.options.minfds = inherited()
        # For launchers: who must be alive for them to go on.
        os.environ[SUPERVISORD_PID] = str(os.getpid())

    def _path(self, name: str) -> str:
        return os.path.join(self.conf_dir, f"{name}.conf")

    def _phased_stop(self) -> PhasedStop:
        stop = PhasedStop(self.supervisord, self._logs.announce)
        self._signals = Signals(self.supervisord, stop.kill_all)
        return stop

    def _handlers(self) -> tuple[Callable[[], None], ...]:
        return (self._logs.mirror,)

    def _is_due(self) -> bool:
        return self._signals.is_pending() or super()._is_due()

    def _callbacks(self) -> Iterator[tuple[Any, Callable[[Any], None]]]:
        yield from super()._callbacks()
        yield events.ProcessLogEvent, self._logs.on_output
        yield events.SupervisorRunningEvent, self._signals.on_running

    def _close(self) -> None:
        self._logs.close()


def inherited() -> int:
    """One more than the highest descriptor that a child would get from here.

    So many are closed, one by one, in every child before it becomes its
    program. What supervisord opens itself no child ever gets; all that it
    may open, which is what it counts to otherwise, takes milliseconds.
    """
    highest = 2
    for fd in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):
            highest = max(highest, fd if os.get_inheritable(fd) else 0)
    return highest + 1


def _pace_retry(event: Any) -> None:
    """Retry a program of ours at once, then after 1, 2, 3... seconds, 30 at most.

    supervisord begins with one second, even for one that was killed before
    it counted as running, and grows without end.
    """
    process = event.process
    if process.group is not None and is_cymes(process.group):
        process.delay -= 1
        process.backoff = min(process.backoff, LONGEST_BACKOFF_S)


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    """A published method: refused while supervisord stops, its errors named."""

    @functools.wraps(function)
    def call(self: CymeNamespace, *args: Any) -> Any:
        self._check_running()
        check_arguments(function, (self, *args))
        return answered(self._extension.logger, function)(self, *args)

    return call


class CymeNamespace:
    """The methods that are called as ``cyme.<name>``.

    All but ``getExtension`` raise ``SHUTDOWN_STATE`` once supervisord is
    stopping: a program added then would keep it alive for ever. Those that
    take names answer with one ``{"name", "status", "description"}`` for each,
    ``status`` one of supervisord's faults, 80 for success.
    """

    def __init__(self, extension: Extension) -> None:
        self._extension = extension

    def getExtension(self) -> dict[str, Any]:
        """``{"version", "epoch", "stopping", "own", "conf_dir"}``: Cyme's version, this
        supervisord's life, whether it is Cyme's own, and where sections are looked for."""
        extension = self._extension
        return {
            "version": __version__,
            "own": extension.is_own,
            "conf_dir": extension.conf_dir,
            "epoch": extension.journal.epoch,
            "stopping": extension.is_stopping,
        }

    @_method
    def applyPrograms(self, names: list[str]) -> list[dict[str, Any]]:
        """Read the program's file in ``conf_dir`` and take the program as it says, not
        started. One that is there keeps its process."""
        return self._each(names, self._extension.groups.apply)

    @_method
    def startPrograms(self, names: list[str]) -> list[dict[str, Any]]:
        """Start programs, without waiting for more than their spawn."""
        return self._each(names, self._extension.groups.start)

    @_method
    def stopPrograms(self, names: list[str]) -> list[dict[str, Any]]:
        """Ask programs to end, all at once, without waiting for it."""
        return self._each(names, self._extension.groups.stop)

    @_method
    def killPrograms(self, names: list[str]) -> list[dict[str, Any]]:
        """SIGKILL to the programs' process groups, without waiting."""
        return self._each(names, self._extension.groups.kill)

    @_method
    def removePrograms(self, names: list[str]) -> list[dict[str, Any]]:
        """Let go of programs that have ended. Their files stay."""
        return self._each(names, self._extension.groups.remove)

    @_method
    def changes(self, since: str, timeout: float) -> Any:
        """What changed after *since*, the ``position`` of the last answer (empty
        for everything); where nothing did, once something has or after *timeout*
        seconds.

        ``{"epoch", "version", "position", "full", "programs", "removed"}``;
        ``removed`` has names of groups, ``programs`` what
        :func:`cyme_supd.supervisord.journal.record` makes of each.
        """
        journal = self._extension.journal
        deadline = time.monotonic() + min(float(timeout), LONGEST_WAIT_S)
        answer = journal.since(str(since))
        if answer is not None:
            return answer

        def waiting() -> Any:
            self._check_running()
            found = journal.since(str(since))
            if found is None and time.monotonic() >= deadline:
                return journal.nothing()
            return NOT_DONE_YET if found is None else found

        return _deferred(answered(self._extension.logger, waiting))

    def _each(self, names: object, act: Callable[[str], None]) -> list[dict[str, Any]]:
        return groups.each(names, answered(self._extension.logger, act))

    def _check_running(self) -> None:
        if self._extension.is_stopping:
            raise RPCError(Faults.SHUTDOWN_STATE)


def _deferred(callback: Callable[..., Any]) -> Callable[..., Any]:
    # Looked at again after so many seconds; the wake pipe does it sooner.
    callback.delay = 1.0  # type: ignore[attr-defined]
    return callback
