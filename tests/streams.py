"""Somebody who listens to server-sent events."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import httpx


@dataclass(frozen=True)
class Event:
    kind: str
    data: str
    id: str

    @property
    def server(self) -> str:
        """Of a change: the process that tells of it."""
        return self.id.partition("-")[0]


class Stream:
    """What comes is in ``events``, as it comes; use it as a context."""

    def __init__(self, client: httpx.Client, path: str) -> None:
        request = client.build_request("GET", path)
        self.answer = client.send(request, stream=True)
        self.events: list[Event] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)

    @property
    def has_ended(self) -> bool:
        return not self._thread.is_alive()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # The thread that reads it may be waiting for it: what it waits on ends.
        stream = self.answer.extensions["network_stream"]
        sock = stream.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            # The server may have ended it in this moment.
            with suppress(OSError):
                sock.shutdown(2)
        self._thread.join(10)
        self.answer.close()

    def _listen(self) -> None:
        said: dict[str, list[str]] = {}
        try:
            for line in self.answer.iter_lines():
                name, _, value = line.partition(": ")
                if line:
                    said.setdefault(name, []).append(value)
                    continue
                if "event" in said:
                    data = "\n".join(said["data"])
                    self.events.append(Event(said["event"][0], data, said.get("id", [""])[0]))
                said = {}
        except (httpx.HTTPError, httpx.StreamError, OSError):
            return
