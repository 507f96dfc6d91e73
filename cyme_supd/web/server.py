"""gunicorn's worker, as Cyme needs it: patient, quick to stop, errors in our own words."""

from __future__ import annotations

import json
import logging
import select
import selectors
import socket
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from gunicorn.http.errors import (
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
)
from gunicorn.workers.gthread import TConn, ThreadWorker

from cyme_supd.errors import CymeError, Internal, Invalid, TooLarge
from cyme_supd.web import patience
from cyme_supd.web.guard import HEADERS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

logger = logging.getLogger("cyme_supd.web")

#: How long a thread waits for the next request of a connection.
LINGER_MS = 2
#: How long a process with connections leaves a new one to the others.
YIELD_S = 0.001


class Worker(ThreadWorker):  # type: ignore[misc]
    """Threads serve requests; the main thread accepts and keeps the idle connections.

    ``app.on_stop`` is called in a signal's handler once the process should
    end, so that requests that wait answer now.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_threads: set[TConn] = set()
        # Since when they wait for the rest of a request.
        self._waiting: dict[TConn, float] = {}

    def accept(self, listener: socket.socket) -> None:
        """Take a new connection; if others are open here, after those who have none.

        All processes wake for it. The first would take most of a burst, and
        one of them serve alone what two could.
        """
        if self.nr_conns:
            time.sleep(YIELD_S)
        super().accept(listener)

    def handle(self, conn: TConn) -> Any:
        """Serve a request, and those that follow at once on the same connection.

        The way through the main thread, to wait for the next, costs as much
        as a small request. While nobody else wants a thread, this one waits
        a moment itself.
        """
        result = super().handle(conn)
        while result is True and self._goes_on(conn):
            result = super().handle(conn)
        return result

    def _goes_on(self, conn: TConn) -> bool:
        if not self.alive or not self.tpool._work_queue.empty():
            return False
        poll = select.poll()
        poll.register(conn.sock, select.POLLIN)
        return bool(poll.poll(LINGER_MS)) and patience.missing(conn.sock) is None

    def enqueue_req(self, conn: TConn) -> None:
        """Give it a thread, once there is a whole request for that."""
        seen = None if _has_read_ahead(conn) else patience.missing(conn.sock)
        if seen is not None:
            self._defer(conn, seen)
            return
        patience.wake_after(conn.sock, 0)
        conn.data_ready = True
        patience.limit_stalls(conn.sock)
        self._waiting.pop(conn, None)
        self._in_threads.add(conn)
        super().enqueue_req(conn)

    def _defer(self, conn: TConn, seen: int) -> None:
        patience.wake_after(conn.sock, seen)
        conn.sock.setblocking(False)
        since = self._waiting.setdefault(conn, time.monotonic())
        conn.timeout = since + patience.REQUEST_S
        self.pending_conns.append(conn)
        wake = partial(self.on_pending_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, wake)

    def murder_pending(self) -> None:
        """Close those that have taken too long; they are in no order."""
        now = time.monotonic()
        for conn in [each for each in self.pending_conns if each.timeout <= now]:
            self._drop_pending(conn)

    def _drop_pending(self, conn: TConn) -> None:
        self.pending_conns.remove(conn)
        self._waiting.pop(conn, None)
        self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()

    def finish_request(self, conn: TConn, fs: Any) -> None:
        self._in_threads.discard(conn)
        super().finish_request(conn, fs)
        if not self.alive:
            self.murder_keepalived(force=True)

    def handle_exit(self, sig: int, frame: Any) -> None:
        if self.alive:
            self.app.on_stop()
            self.method_queue.defer(self._drop_idle)
        super().handle_exit(sig, frame)

    def _drop_idle(self) -> None:
        """Close connections on which nothing was asked.

        Left alone they hold the process for seconds: a browser keeps some
        open, and a thread may be listening on one that never spoke.
        """
        self.murder_keepalived(force=True)
        while self.pending_conns:
            self._drop_pending(self.pending_conns[0])
        for conn in self._in_threads:
            if not conn.data_ready and not conn.initialized:
                _end_input(conn.sock)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Answer what gunicorn itself refuses, in the contract's form."""
        error = _translated(exc)
        if isinstance(error, Internal):
            logger.error("a request failed", exc_info=exc)
        try:
            client.sendall(_response(error))
        except OSError as failure:
            logger.debug("a refusal was not delivered: %s", failure)


class Body:
    """A request's body whose faults are the client's, not ours."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        return self._safely(self._stream.read, size)

    def readline(self, size: int = -1) -> bytes:
        return self._safely(self._stream.readline, size)

    def _safely(self, read: Callable[[int], bytes], size: int) -> bytes:
        try:
            return read(size)
        except (ParseException, OSError):
            raise Invalid("the body is broken or ended too soon") from None


def with_body(wsgi: WSGIApplication) -> WSGIApplication:
    """*wsgi*, handed its requests' bodies as :class:`Body`."""

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.input"] = Body(environ["wsgi.input"])
        return wsgi(environ, start_response)

    return call


def _has_read_ahead(conn: TConn) -> bool:
    """Whether part of the next request was read with the last one's body."""
    return conn.parser is not None and bool(conn.parser.unreader.buf.getvalue())


def _end_input(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RD)
    except OSError as exc:
        logger.debug("an idle connection was gone already: %s", exc)


def _translated(exc: Exception) -> CymeError:
    if isinstance(exc, LimitRequestLine | LimitRequestHeaders):
        return TooLarge("the request's line or headers are too long", "send values in the body")
    if isinstance(exc, ParseException):
        return Invalid("the request is not readable as HTTP")
    return Internal("something went wrong here", "the branch's log has the details")


def _response(error: CymeError) -> bytes:
    body = json.dumps({"error": error.to_wire()}).encode() + b"\n"
    reason = {400: "Bad Request", 413: "Content Too Large"}.get(error.http, "Internal Server Error")
    said = "".join(f"{name}: {value}\r\n" for name, value in HEADERS)
    head = (
        f"HTTP/1.1 {error.http} {reason}\r\n"
        "Content-Type: application/json\r\n"
        f"{said}"
        "Connection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
