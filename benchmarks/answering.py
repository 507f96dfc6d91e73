"""A server that answers at once, as a program of its own.

Says its port on the first line. A number on a line of its input has it count
from nothing; once it was asked that often it says when the first and when
the last request came, as ``time.monotonic`` has it, the same in every
process of a host.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
_END = b"\r\n\r\n"


@dataclass(slots=True)
class Count:
    wanted: int = 0
    seen: int = 0
    first: float = 0.0

    def add(self) -> None:
        self.seen += 1
        if self.seen == 1:
            self.first = time.monotonic()
        if self.seen == self.wanted:
            print(self.first, time.monotonic(), flush=True)


class Answering(asyncio.Protocol):
    """Requests without a body."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *whole, self._received = (self._received + data).split(_END)
        for _ in whole:
            self._transport.write(ANSWER)
            self._count.add()


async def main() -> None:
    count = Count()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(count), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()

    def read() -> None:
        line = sys.stdin.readline()
        if not line:
            ended.set()
        else:
            count.wanted, count.seen = int(line), 0

    loop.add_reader(sys.stdin.fileno(), read)
    await ended.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
