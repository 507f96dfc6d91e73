"""What tests of every ring share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import psutil


def eventually(check: Callable[[], Any], within_s: float = 10.0, every_s: float = 0.02) -> Any:
    """Call *check* until what it returns is truthy, and return that.

    An ``AssertionError`` counts as not yet. When *within_s* seconds are over
    an ``AssertionError`` with the last one, or the last value, is raised.
    """
    deadline = time.monotonic() + within_s
    while True:
        try:
            value = check()
            error = f"last value: {value!r}"
        except AssertionError as exc:
            value, error = None, str(exc)
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {within_s} s: {error}")
        time.sleep(every_s)


def let_pass(seconds: float) -> None:
    """For what has to last: an outage, a lock that is held."""
    until = time.monotonic() + seconds
    while (left_s := until - time.monotonic()) > 0:
        time.sleep(left_s)


def still_running(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended; one that waits to be reaped has."""
    left = []
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            if each.is_running() and each.status() != psutil.STATUS_ZOMBIE:
                left.append(each)
    return left
