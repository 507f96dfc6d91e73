"""What signals mean to supervisord. Runs inside it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from supervisor.states import SupervisorStates

#: Those that supervisord handles itself.
_HANDLED = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGCHLD,
    signal.SIGUSR2,
)


class Signals:
    """SIGHUP ends it, as SIGTERM does; a second SIGINT calls *kill_all*.

    To supervisord itself SIGHUP means to restart every program, which is
    what a closed terminal would then do to a fleet.
    """

    def __init__(self, supervisord: Any, kill_all: Callable[[], None]) -> None:
        self._options = supervisord.options
        self._kill_all = kill_all
        self._options.fork = _fork

    def on_running(self, _event: object) -> None:
        # Before this event supervisord installs its own over ours.
        signal.signal(signal.SIGHUP, self._on_hang_up)
        signal.signal(signal.SIGINT, self._on_interrupt)

    def is_pending(self) -> bool:
        """supervisord handles one signal in a turn, and would sleep on the next."""
        return bool(getattr(self._options.signal_receiver, "_signals_recvd", ()))

    def _on_hang_up(self, _number: int, frame: FrameType | None) -> None:
        self._options.signal_receiver.receive(signal.SIGTERM, frame)

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._options.mood < SupervisorStates.RUNNING:
            self._kill_all()
        else:
            self._options.signal_receiver.receive(number, frame)


def _fork() -> int:
    """A child that a signal can end from its first moment on.

    Until it has become its program it would take signals with supervisord's
    handlers, which only make a note of them: one that is stopped just after
    its start would run on until it is killed.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    try:
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            for number in _HANDLED:
                signal.signal(number, signal.SIG_DFL)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid
