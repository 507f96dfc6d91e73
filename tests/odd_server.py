"""A web server that behaves in many ways, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

Writer = asyncio.StreamWriter
SLOW_S = 0.2
CHUNK = b"x" * 65536


class OddServer:
    """Listens on loopback; the first part of a path says what it does with it.

    ``seen`` counts requests by path, ``heads`` keeps the last head of each.
    """

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.heads: dict[str, str] = {}
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._is_up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def start(self) -> None:
        self._thread.start()
        assert self._is_up.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._is_up.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            path = head.split(" ", 2)[1]
            self.seen[path] += 1
            self.heads[path] = head
            await WAYS.get(path.split("/")[1], _answer)(writer)
        with suppress(OSError, asyncio.CancelledError):
            writer.close()


async def _answer(writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    await writer.drain()


async def _slow(writer: Writer) -> None:
    await asyncio.sleep(SLOW_S)
    await _answer(writer)


async def _close(writer: Writer) -> None:
    writer.close()


async def _break(writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort")
    await writer.drain()


async def _redirect(writer: Writer) -> None:
    location = f"http://127.0.0.1:{writer.get_extra_info('sockname')[1]}/followed"
    writer.write(
        f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
    )
    await writer.drain()


async def _endless(writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(CHUNK)
        await writer.drain()


async def _garbage(writer: Writer) -> None:
    writer.write(b"\x00\xff this is no HTTP \r\n\r\n" * 8)
    await writer.drain()


async def _missing(writer: Writer) -> None:
    writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


WAYS: dict[str, Callable[[Writer], Awaitable[None]]] = {
    "fast": _answer,
    "slow": _slow,
    "close": _close,
    "break": _break,
    "redirect": _redirect,
    "endless": _endless,
    "garbage": _garbage,
    "missing": _missing,
}


@contextmanager
def odd_server() -> Iterator[OddServer]:
    server = OddServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
