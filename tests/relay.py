"""A broker behind a line that a test can cut, or let nothing pass."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class Relay:
    """Passes on what comes to a port of its own; ``cut`` and ``mend`` the line.

    What comes while it is on ``hold`` waits, and goes on with ``resume``. What
    is open when it goes ``mute`` is so for good, and new connections are not.
    """

    def __init__(self, host: str, port: int, listener: socket.socket | None = None) -> None:
        self._target = (host, port)
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._ends: list[socket.socket] = []
        self._is_cut = False
        self._is_held = False
        #: One a connection; set while it passes on.
        self._gates: list[threading.Event] = []
        self._muted: list[threading.Event] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End every connection, and each new one at once."""
        with self._lock:
            self._is_cut = True
            ends, self._ends = self._ends, []
        for end in ends:
            _end(end)

    def mend(self) -> None:
        with self._lock:
            self._is_cut = False

    def hold(self) -> None:
        with self._lock:
            self._is_held = True
            for gate in self._gates:
                gate.clear()

    def resume(self) -> None:
        with self._lock:
            self._is_held = False
            for gate in self._gates:
                gate.set()

    def mute(self) -> None:
        self.hold()
        with self._lock:
            self._is_held = False
            self._muted += self._gates
            self._gates = []

    def close(self) -> None:
        _end(self._listener)
        self.cut()
        for gate in [*self._gates, *self._muted]:
            gate.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                with self._lock:
                    if self._is_cut:
                        near.close()
                        continue
                    far = socket.create_connection(self._target)
                    self._ends += [near, far]
                    gate = threading.Event()
                    if not self._is_held:
                        gate.set()
                    self._gates.append(gate)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=_pass_on, args=(*pair, gate), daemon=True).start()


@contextmanager
def relayed(url: str) -> Iterator[tuple[Relay, str]]:
    """The line to the broker at *url*, and the URL of its near end."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    relay = Relay(parts.hostname, parts.port)
    userinfo = parts.netloc.rpartition("@")[0]
    try:
        yield relay, parts._replace(netloc=f"{userinfo}@127.0.0.1:{relay.port}").geturl()
    finally:
        relay.close()


def _pass_on(source: socket.socket, target: socket.socket, gate: threading.Event) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            gate.wait()
            target.sendall(data)
    for end in (source, target):
        _end(end)


def _end(end: socket.socket) -> None:
    # Closing alone does not wake whoever waits for it in another thread.
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
