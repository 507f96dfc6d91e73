"""Server-sent events: an answer that goes on, for a minute at most."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from flask import Response, request

from cyme_supd.errors import CymeError
from cyme_supd.service import Service

MIMETYPE = "text/event-stream"
#: A stream ends after so long; who listens comes back after so long.
LASTS_S, RETRY_MS = 60.0, 1000
#: However little there is to say, something is said so often.
QUIET_S = 15.0
#: How often it is looked whether there is something to say.
LOOK_S = 0.1
_HEADERS = {
    "Cache-Control": "no-store",
    # nginx would keep it until there is much of it.
    "X-Accel-Buffering": "no",
}

#: What there is to send by now, in the form of :func:`event`; mostly nothing.
#: ``None`` when there will be nothing more.
Source = Callable[[], str | None]


def stream(service: Service, source: Source) -> Response:
    """*source*, asked again and again. Raises ``Unavailable`` where too many listen."""
    held = ExitStack()
    parts: Iterator[str] = iter(())
    if request.method != "HEAD":
        held.callback(service.waits.hold())
        parts = _parts(service, source, request.environ.get("gunicorn.socket"))
    made = Response(parts, mimetype=MIMETYPE, headers=_HEADERS)
    made.call_on_close(held.close)
    return made


def last_id() -> str:
    """Of the event that whoever comes back has seen last."""
    return request.headers.get("Last-Event-ID", "")


def event(kind: str, data: str, id: str = "") -> str:
    """As it is sent; *data* may be of several lines."""
    lines = "".join(f"data: {line}\n" for line in data.split("\n"))
    return f"event: {kind}\n{lines}" + (f"id: {id}\n\n" if id else "\n")


def _parts(service: Service, source: Source, client: socket.socket | None) -> Iterator[str]:
    clock = service.clock
    yield f"retry: {RETRY_MS}\n\n"
    ends_at = clock.monotonic() + LASTS_S
    said_at = clock.monotonic()
    while clock.monotonic() < ends_at and not service.waits.is_stopping and not _is_gone(client):
        try:
            text = source()
        except CymeError:
            # Who comes back is told of it.
            return
        if text is None:
            return
        if not text and clock.monotonic() - said_at >= QUIET_S:
            text = ": nothing new\n\n"
        if text:
            said_at = clock.monotonic()
            yield text
        clock.sleep(LOOK_S)


def _is_gone(client: socket.socket | None) -> bool:
    """Whether nobody listens any more: on a stream nothing more is asked."""
    if client is None:
        return False
    try:
        return client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except (BlockingIOError, InterruptedError):
        return False
    except OSError:
        return True
