"""A web server that sends any bytes, and remembers what it was asked, and where."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from cyme_supd.workers.fetch import lines

Behave = Callable[[socket.socket], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers every connection as ``behave`` does; ``heads`` and ``bodies`` are what it was
    asked, ``peers`` the addresses it was reached at."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.port: int = self._listener.getsockname()[1]
        self.behave: Behave = saying(OK)
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.peers: list[str] = []
        self.takes_bodies = True
        self.is_deaf = False
        self.is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.peers.append(connection.getsockname()[0])
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            head, _, body = self._received(connection)
            self.heads.append(head)
            self.bodies.append(body)
            self.behave(connection)

    def _received(self, connection: socket.socket) -> tuple[str, bytes, bytes]:
        got = b""
        while not self.is_deaf and b"\r\n\r\n" not in got:
            chunk = connection.recv(65536)
            if not chunk:
                break
            got += chunk
        head, sep, body = got.partition(b"\r\n\r\n")
        text = head.decode("latin-1")
        wanted = next(
            (x for x in text.lower().split("\r\n") if x.startswith("content-length")), ":0"
        )
        while self.takes_bodies and len(body) < int(wanted.partition(":")[2]):
            body += connection.recv(65536)
        return text, sep, body

    def stop(self) -> None:
        self.is_over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


def saying(*parts: bytes) -> Behave:
    def behave(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)

    return behave


@contextmanager
def serving(host: str = "127.0.0.1") -> Iterator[Server]:
    server = Server(host)
    try:
        yield server
    finally:
        # A kept connection is one of this process.
        lines.keep(0)
        server.stop()
