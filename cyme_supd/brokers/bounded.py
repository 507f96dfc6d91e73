"""Connections made and left in bounded time, whatever the broker does."""

from __future__ import annotations

import logging
import threading

from kombu import Connection

log = logging.getLogger(__name__)

#: Longer than the sockets' own timeouts add up to while a connection is made.
CONNECT_WITHIN_S = 12.0


def connect(conn: Connection, within_s: float = CONNECT_WITHIN_S) -> None:
    """Connect, or raise ``TimeoutError``; one attempt.

    Sockets have timeouts, the resolver of host names has none that could be
    set: so it is called by a thread that can be left to itself.
    """
    attempt = _Attempt(conn)
    thread = threading.Thread(target=attempt.run, name="connect", daemon=True)
    thread.start()
    thread.join(within_s)
    if attempt.leave():
        raise TimeoutError(f"not connected within {within_s:g} s")
    if attempt.error is not None:
        raise attempt.error


def let_go(conn: Connection) -> None:
    """Close a connection that broke, without a word to the broker if that can be."""
    try:
        conn.collect()
    except Exception as exc:
        # What is being closed was broken already.
        log.debug("closing a connection: %r", exc)


class _Attempt:
    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._lock = threading.Lock()
        self._is_over = False
        self._is_left = False
        self.error: BaseException | None = None

    def run(self) -> None:
        error: BaseException | None = None
        try:
            self._conn.ensure_connection(max_retries=0, reraise_as_library_errors=False)
        except BaseException as exc:
            error = exc
        with self._lock:
            self.error = error
            self._is_over = True
            is_left = self._is_left
        if is_left:
            let_go(self._conn)

    def leave(self) -> bool:
        """Whether it goes on by itself, and nobody waits for it any more."""
        with self._lock:
            self._is_left = not self._is_over
            return self._is_left
