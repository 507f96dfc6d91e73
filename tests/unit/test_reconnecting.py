"""What is done when a connection breaks, and what is said of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import chain, repeat

import pytest
from kombu import Connection

from cyme_supd.brokers import reconnecting
from cyme_supd.brokers.reconnecting import BACKOFF_S, keep_connected
from cyme_supd.clock import SystemClock

log = logging.getLogger("reconnecting")


class Work:
    """Ends in each of *ends* in turn; over when there are no more."""

    def __init__(self, *ends: Exception | None) -> None:
        self._ends: Iterator[Exception | None] = chain(ends)
        self._left = len(ends)
        self.waited: list[float] = []

    def is_over(self) -> bool:
        return not self._left

    def body(self, connection: Connection) -> None:
        assert connection.connected
        self._left -= 1
        if (end := next(self._ends)) is not None:
            raise end

    def run(self) -> Work:
        def connect() -> Connection:
            return Connection("memory://")

        keep_connected(connect, self.body, self.is_over, self.waited.append, log, "it waits")
        return self


@pytest.fixture
def levels(caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[int, bool]]]:
    """The level of each line, and whether it comes with a traceback."""
    caplog.set_level(logging.DEBUG, "reconnecting")

    def found() -> list[tuple[int, bool]]:
        return [(each.levelno, bool(each.exc_info)) for each in caplog.records]

    return found


def test_it_goes_on_until_it_is_over() -> None:
    assert Work(None, None).run().waited == []


def test_it_waits_longer_and_longer() -> None:
    failures = len(BACKOFF_S) + 2
    waited = Work(*repeat(OSError("away"), failures)).run().waited
    assert waited == [*BACKOFF_S, BACKOFF_S[-1], BACKOFF_S[-1]]


def test_who_had_a_good_connection_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(OSError("1"), OSError("2"), OSError("3"))
    # The second one lasts long.
    now = SystemClock().monotonic()
    moments = iter([now, now, now, now + 2 * reconnecting.STEADY_S, now, now])
    monkeypatch.setattr(reconnecting, "monotonic", lambda: next(moments))
    assert work.run().waited == [BACKOFF_S[0], BACKOFF_S[0], BACKOFF_S[1]]


def test_what_a_broker_does_is_said_once(levels: Callable[[], list[tuple[int, bool]]]) -> None:
    Work(OSError("away"), OSError("away"), OSError("refused")).run()
    warning, debug = (logging.WARNING, False), (logging.DEBUG, False)
    assert levels() == [warning, debug, warning]


def test_a_fault_shows_where_it_is(levels: Callable[[], list[tuple[int, bool]]]) -> None:
    Work(OSError("away"), ValueError("none")).run()
    assert levels() == [(logging.WARNING, False), (logging.ERROR, True)]
