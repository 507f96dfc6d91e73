"""Work at a broker that goes on, on a new connection, whenever the one it had breaks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic

from kombu import Connection

from cyme_supd.brokers import bounded, connections

BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
#: A connection that lasted so long was a good one: what breaks it is news.
STEADY_S = BACKOFF_S[-1]


def keep_connected(
    connect: Callable[[], Connection],
    body: Callable[[Connection], None],
    is_over: Callable[[], bool],
    wait: Callable[[float], object],
    log: logging.Logger,
    what: str,
    foreseen: connections.Errors = (),
) -> None:
    """Run *body* on a connection until *is_over*; *connect* makes one that is not open yet.

    *wait* is given seconds, and may return early. What *body* raises, which may be
    anything, goes to *log* after *what*: as a warning, or as an error where no broker's
    absence explains it nor *foreseen* has it; for the debug log alone where the last
    try ended in the same way.
    """
    failures, last = 0, ""
    while not is_over():
        connection = connect()
        begun = None
        try:
            bounded.connect(connection)
            begun = monotonic()
            body(connection)
        except Exception as exc:
            if begun is not None and monotonic() - begun > STEADY_S:
                failures, last = 0, ""
            is_foreseen = isinstance(exc, (*connections.broken(connection), *foreseen))
            level = _level(exc, is_foreseen, last)
            log.log(level, "%s: %r", what, exc, exc_info=not is_foreseen)
            last = repr(exc)
            wait(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
            failures += 1
        finally:
            bounded.let_go(connection)


def _level(exc: Exception, is_foreseen: bool, last: str) -> int:
    if repr(exc) == last:
        return logging.DEBUG
    return logging.WARNING if is_foreseen else logging.ERROR
