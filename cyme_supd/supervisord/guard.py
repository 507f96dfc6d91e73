"""Keeps what goes wrong in the extension inside the extension.

An exception in an event's callback would end supervisord and orphan its
programs; a ``TypeError`` in a method would be reported as the caller's.
"""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from supervisor.xmlrpc import Faults, RPCError

T = TypeVar("T")


def contained(logger: Any, function: Callable[..., T], otherwise: T) -> Callable[..., T]:
    """*function*, except that what it raises is logged and *otherwise* returned."""

    @functools.wraps(function)
    def call(*args: Any) -> T:
        try:
            return function(*args)
        except Exception:
            log_error(logger, function)
            return otherwise

    return call


def answered(logger: Any, function: Callable[..., T]) -> Callable[..., T]:
    """*function*, except that what it raises by mistake becomes ``FAILED``."""

    @functools.wraps(function)
    def call(*args: Any) -> T:
        try:
            return function(*args)
        except RPCError:
            raise
        except Exception as exc:
            log_error(logger, function)
            raise RPCError(Faults.FAILED, f"{type(exc).__name__}: {exc}") from exc

    return call


def check_arguments(function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        inspect.signature(function).bind(*args)
    except TypeError as exc:
        raise RPCError(Faults.INCORRECT_PARAMETERS, str(exc)) from None


def log_error(logger: Any, function: Callable[..., Any]) -> None:
    name = getattr(function, "__qualname__", repr(function))
    # The log may be what is broken.
    with suppress(Exception):
        logger.critical(f"cyme: error in {name}: {traceback.format_exc()}")
