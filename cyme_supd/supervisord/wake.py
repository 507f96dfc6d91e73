"""Ends supervisord's sleep when there is something to do. Runs inside it.

Its loop waits up to a second in ``poll()`` and no signal ends that wait. A
pipe in its socket map does: signals write to it (``set_wakeup_fd``), and so
does :meth:`WakePipe.kick`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from supervisor.medusa import asyncore_25 as asyncore

_READ_SIZE = 4096


class WakePipe:
    """``handlers`` are called, in order, after every kick and every signal.

    ``is_due`` is asked once in every turn of the loop, before it sleeps;
    where it says yes the loop does not sleep. None of them may raise.
    """

    def __init__(self, handlers: Sequence[Callable[[], None]], is_due: Callable[[], bool]) -> None:
        self._handlers = tuple(handlers)
        self._is_due = is_due
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)

    def open(self) -> None:
        asyncore.socket_map[self._reading] = self
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)

    def close(self) -> None:
        """Leave nothing behind: a reload would close the descriptors unseen,
        and signals would then write into whatever got their numbers."""
        signal.set_wakeup_fd(-1)
        asyncore.socket_map.pop(self._reading, None)
        os.close(self._reading)
        os.close(self._writing)

    def kick(self) -> None:
        # A full pipe wakes the loop as well as one byte more would.
        with suppress(BlockingIOError):
            os.write(self._writing, b"\0")

    # What supervisord's loop asks of everything in its socket map.

    def readable(self) -> bool:
        if self._is_due():
            self.kick()
        return True

    def writable(self) -> bool:
        return False

    def handle_read_event(self) -> None:
        with suppress(BlockingIOError):
            while len(os.read(self._reading, _READ_SIZE)) == _READ_SIZE:
                pass
        for handler in self._handlers:
            handler()

    def handle_write_event(self) -> None:
        """Never writable, so never called."""

    def handle_error(self) -> None:
        """The handlers contain their own errors."""


def answer_waiting_calls() -> None:
    """Have every deferred answer looked at in the next turn, not when its
    delay is over."""
    for channel in asyncore.socket_map.values():
        if _is_deferring(channel):
            channel.last_writable_check = 0


def _is_deferring(channel: Any) -> bool:
    return bool(getattr(channel, "delay", 0))
