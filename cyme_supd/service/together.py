"""Asks several at once, and waits for all of them no longer than for one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from cyme_supd.errors import CymeError, Timeout

Key = TypeVar("Key", bound=Hashable)

#: More questions than that at once would only keep one another waiting.
MOST_AT_ONCE = 16


def together(questions: Mapping[Key, Callable[[], Any]], within_s: float) -> dict[Key, Any]:
    """What each answered in time; a ``CymeError`` is an answer, too.

    Nobody waits for those that are late: they end by themselves.
    """
    pool = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="together")
    asked = {key: pool.submit(question) for key, question in questions.items()}
    wait(asked.values(), within_s)
    pool.shutdown(wait=False, cancel_futures=True)
    return {key: _answer(future, within_s) for key, future in asked.items()}


def _answer(future: Future[Any], within_s: float) -> Any:
    if not future.done() or future.cancelled():
        return Timeout(f"no answer within {within_s:g} s")
    error = future.exception()
    if isinstance(error, CymeError):
        return error
    return future.result()
