"""So many requests a second, from another address, at little cost to whoever sends them."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

LINES = 20
#: Where they come from.
ELSEWHERE = "127.0.0.2"
REQUEST = b"GET /yard/instances/w1/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@contextmanager
def poured(port: int, rate: float) -> Iterator[Counter[int]]:
    """The answers by status, as they come; who is answered late asks the more often then."""
    done, statuses = threading.Event(), Counter[int]()
    threads = [
        threading.Thread(target=_pour, args=(port, rate / LINES, done, statuses))
        for _ in range(LINES)
    ]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        done.set()
        for thread in threads:
            thread.join()


def _pour(port: int, rate: float, done: threading.Event, statuses: Counter[int]) -> None:
    begun_at, asked = time.monotonic(), 0
    with socket.create_connection(("127.0.0.1", port), 30, (ELSEWHERE, 0)) as line:
        while not done.wait(max(0.0, begun_at + asked / rate - time.monotonic())):
            line.sendall(REQUEST)
            statuses[_status(line)] += 1
            asked += 1


def _status(line: socket.socket) -> int:
    """Of the answer, which is read to its end."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = line.recv(65536)
        if not part:
            raise ConnectionError("the connection was closed")
        answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    (length,) = (
        int(each[15:])
        for each in head.split(b"\r\n")
        if each.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        body += line.recv(65536)
    return int(head.split(b" ", 2)[1])
