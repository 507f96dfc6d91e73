"""The least that keeps a server busy: raw connections, on each one request at a time."""

from __future__ import annotations

import select
import socket
import time
from dataclasses import dataclass, field

CONNECTIONS = 8
SILENCE_S = 30.0
_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"


def request(port: int, path: str, body: bytes = b"", content_type: str = "") -> bytes:
    """A POST as it goes over the wire."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        *([f"Content-Type: {content_type}"] if content_type else []),
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + _END + body


def rate(port: int, wanted: bytes, status: int, count: int) -> float:
    """Answers per second to *count* times *wanted*, each of which must have *status*.

    The connections are made before, and kept. Each sends its next request
    once the answer to its last is complete.
    """
    connections = [_Connection(port, wanted, status) for _ in range(CONNECTIONS)]
    try:
        return count / _seconds(connections, count)
    finally:
        for each in connections:
            each.sock.close()


def _seconds(connections: list[_Connection], count: int) -> float:
    poll = select.epoll()
    by_handle = {each.sock.fileno(): each for each in connections}
    for handle in by_handle:
        poll.register(handle, select.EPOLLIN)
    with poll:
        begun = time.perf_counter()
        for each in connections:
            each.send()
        unsent, unanswered = count - len(connections), count
        while unanswered:
            ready = poll.poll(SILENCE_S)
            if not ready:
                raise TimeoutError(f"{unanswered} requests were not answered")
            for handle, _ in ready:
                if by_handle[handle].is_answered():
                    unanswered -= 1
                    if unsent > 0:
                        unsent -= 1
                        by_handle[handle].send()
        return time.perf_counter() - begun


@dataclass(slots=True)
class _Connection:
    port: int
    wanted: bytes
    status: int
    sock: socket.socket = field(init=False)
    _received: bytes = b""

    def __post_init__(self) -> None:
        self.sock = socket.create_connection(("127.0.0.1", self.port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self) -> None:
        self.sock.sendall(self.wanted)

    def is_answered(self) -> bool:
        """Take what has come; whether it completes an answer, which is checked."""
        more = self.sock.recv(65536)
        self._received += more
        head, end, body = self._received.partition(_END)
        if not more:
            raise RuntimeError(f"the connection was closed after {self._received!r}")
        if not end or len(body) < _length(head):
            return False
        if int(head[9:12]) != self.status or len(body) > _length(head):
            raise RuntimeError(f"not the answer that was expected: {self._received!r}")
        self._received = b""
        return True


def _length(head: bytes) -> int:
    _, found, rest = head.lower().partition(_LENGTH)
    if not found:
        raise RuntimeError(f"an answer without a length: {head!r}")
    return int(rest.partition(b"\r\n")[0])
