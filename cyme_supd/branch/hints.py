"""The nudge between web and reconciler: an empty datagram."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path


class HintSender:
    """Never waits and never fails: a lost hint costs at most one interval."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def send(self) -> None:
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
        ):
            sender.setblocking(False)
            sender.sendto(b"", self._path)


class HintListener:
    """Owns the socket; :meth:`listen` is the body of a thread."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(5.0)

    def listen(
        self, stop: threading.Event, on_hint: Callable[[], None], beat: Callable[[], None]
    ) -> None:
        while not stop.is_set():
            beat()
            with contextlib.suppress(TimeoutError):
                self._socket.recv(1)
                on_hint()

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
