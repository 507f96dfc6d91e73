"""Sockets that say a little and no more."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HALF = b"POST /yard/instances/w1/autoscale/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Le"
#: Headers that are whole, and a body that never comes.
WAITING = HALF + b"ngth: 1000\r\n\r\n{"


@contextmanager
def slow_sockets(address: tuple[str, int] | str, count: int) -> Iterator[list[socket.socket]]:
    """*count* connections; a third says nothing, one half its headers, one half its body."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    sockets: list[socket.socket] = []
    try:
        for index in range(count):
            sock = socket.socket(family)
            sockets.append(sock)
            sock.settimeout(5)
            with suppress(OSError):
                sock.connect(address)
                sock.sendall((b"", HALF, WAITING)[index % 3])
        yield sockets
    finally:
        for sock in sockets:
            sock.close()


def drip(sockets: list[socket.socket]) -> None:
    """One more byte on each that still takes it."""
    for sock in sockets:
        with suppress(OSError):
            sock.sendall(b"x")


def descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
