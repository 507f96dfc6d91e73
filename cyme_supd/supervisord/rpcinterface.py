"""The part of Cyme that runs inside supervisord::

    [rpcinterface:cyme]
    supervisor.rpcinterface_factory = cyme_supd.supervisord.rpcinterface:make_cyme_rpcinterface
    conf_dir = /absolute/folder/of/the/sections

One thread does everything there, so no method waits, and none reads more
than the files it was given the names of. Events' callbacks only record and
kick the wake pipe; what is to be done about them is done in its read
handler, for acting inside a callback makes further events inside it.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from supervisor import events
from supervisor.http import NOT_DONE_YET
from supervisor.states import SupervisorStates
from supervisor.xmlrpc import Faults, RPCError

from cyme_supd import __version__
from cyme_supd.supervisord import SUPERVISORD_PID, TREE, groups, steady
from cyme_supd.supervisord.answering import read_at_once
from cyme_supd.supervisord.guard import answered, check_arguments, contained
from cyme_supd.supervisord.journal import Journal
from cyme_supd.supervisord.logs import Logs
from cyme_supd.supervisord.owning import is_ours
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
    unknown = sorted(set(config) - {"conf_dir", "hint_socket"})
    if unknown or not os.path.isabs(config.get("conf_dir", "")):
        raise ValueError(f"[rpcinterface:cyme] needs an absolute conf_dir, and not: {unknown}")
    if _extension is None or _extension.supervisord is not supervisord:
        _extension = Extension(supervisord, config["conf_dir"], config.get("hint_socket", ""))
    return CymeNamespace(_extension)


class Extension:
    """Its parts, and which event goes where."""

    def __init__(self, supervisord: Any, conf_dir: str, hint_socket: str) -> None:
        self.supervisord = supervisord
        self._hint_socket = hint_socket
        self.logger = supervisord.options.logger
        steady.install()
        self.journal = Journal(supervisord, f"{os.getpid()}-{time.time_ns()}")
        self.groups = groups.Groups(supervisord, self.journal, conf_dir)
        self._logs = Logs(self.logger)
        self._stop = PhasedStop(supervisord, self._logs.announce)
        self._signals = Signals(supervisord, self._stop.kill_all)
        handlers = (self._stop.step, self._logs.mirror, answer_waiting_calls)
        self.wake = WakePipe(
            [contained(self.logger, handler, None) for handler in handlers],
            contained(self.logger, self._is_due, False),
        )
        self.wake.open()
        self._subscribe()
        self._close_with(supervisord.options)
        supervisord.options.minfds = inherited()
        # For launchers: who must be alive for them to go on.
        os.environ[SUPERVISORD_PID] = str(os.getpid())

    @property
    def is_stopping(self) -> bool:
        return bool(self.supervisord.options.mood < SupervisorStates.RUNNING)

    def _is_due(self) -> bool:
        return self._signals.is_pending() or self._stop.is_due()

    def _subscribe(self) -> None:
        for event, callback in (
            (events.ProcessStateEvent, self.journal.on_state),
            (events.ProcessStateBackoffEvent, _pace_retry),
            (events.ProcessGroupAddedEvent, self.journal.on_added),
            (events.ProcessGroupRemovedEvent, self.journal.on_removed),
            (events.ProcessLogEvent, self._logs.on_output),
            (events.SupervisorRunningEvent, self._signals.on_running),
            (events.SupervisorRunningEvent, self._on_running),
            (events.SupervisorStoppingEvent, self._stop.on_stopping),
        ):
            events.subscribe(event, self._recording(callback))

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
            contained(self.logger, self._logs.close, None)()
            contained(self.logger, self.wake.close, None)()
            # A branch that was killed could not.
            with suppress(OSError):
                os.unlink(self._hint_socket)
            cleanup()

        options.cleanup = close_and_cleanup


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
    group = process.group
    if group is not None and (group.config.name == TREE or is_ours(group)):
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
        """``{"version", "epoch", "stopping"}``: Cyme's version, this supervisord's life."""
        extension = self._extension
        return {
            "version": __version__,
            "epoch": extension.journal.epoch,
            "stopping": extension.is_stopping,
        }

    @_method
    def applyPrograms(self, names: list[str]) -> list[dict[str, Any]]:
        """Read ``<conf_dir>/<name>.conf`` and take the program as it says, not
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
