"""Every error Cyme raises on purpose, and what it becomes outside.

::

    CymeError                    code                 HTTP  exit  retryable
    ├── Invalid                  invalid              400   2
    │   ├── MethodNotAllowed     method_not_allowed   405   2
    │   ├── TooLarge             too_large            413   2
    │   ├── Unsupported          unsupported          415   2
    │   └── RateLimited          rate_limited         429   2     yes
    ├── Unauthorized             unauthorized         401   3
    ├── Forbidden                forbidden            403   3
    ├── NotFound                 not_found            404   4
    ├── Conflict                 conflict             409   5     yes
    ├── Timeout                  timeout              408   7     yes
    │   └── NoAnswer             timeout              504   7     yes
    ├── Unavailable              unavailable          503   6     yes
    │   └── ShuttingDown         unavailable          503   6     yes
    ├── Unimplemented            not_implemented      501   2
    ├── SpawnFailed              spawn_failed         502   8     yes
    └── Internal                 internal             500   1

``code`` is what travels: a client rebuilds the class from it. Between branches
the class itself does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class CymeError(Exception):
    """Base of all; ``hint`` says what the reader can do about it."""

    code = "internal"
    http = 500
    exit = 1
    retryable = False

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def to_wire(self) -> dict[str, str]:
        """The error body: ``{"code", "message", "hint"}``."""
        return {"code": self.code, "message": self.message, "hint": self.hint}

    def to_peer(self) -> dict[str, str]:
        """The same for another branch, which is to raise it as it was raised here."""
        return {**self.to_wire(), "class": type(self).__name__}


class Invalid(CymeError):
    code, http, exit = "invalid", 400, 2


class MethodNotAllowed(Invalid):
    code, http = "method_not_allowed", 405


class TooLarge(Invalid):
    code, http = "too_large", 413


class Unsupported(Invalid):
    code, http = "unsupported", 415


class RateLimited(Invalid):
    code, http, retryable = "rate_limited", 429, True
    #: Sooner than after so many seconds the answer is the same.
    retry_after_s = 1.0


class Unauthorized(CymeError):
    code, http, exit = "unauthorized", 401, 3


class Forbidden(CymeError):
    code, http, exit = "forbidden", 403, 3


class NotFound(CymeError):
    code, http, exit = "not_found", 404, 4


class Conflict(CymeError):
    code, http, exit, retryable = "conflict", 409, 5, True


class Timeout(CymeError):
    code, http, exit, retryable = "timeout", 408, 7, True


class NoAnswer(Timeout):
    """Another branch, which lives, has not answered in time."""

    http = 504


class Unavailable(CymeError):
    code, http, exit, retryable = "unavailable", 503, 6, True


class ShuttingDown(Unavailable):
    """supervisord is stopping: the reconciler freezes, it does not fight it."""


class Unimplemented(CymeError):
    code, http, exit = "not_implemented", 501, 2


class SpawnFailed(CymeError):
    code, http, exit, retryable = "spawn_failed", 502, 8, True


class Internal(CymeError):
    pass


_BY_CODE: dict[str, type[CymeError]] = {
    cls.code: cls
    for cls in (
        Invalid,
        MethodNotAllowed,
        TooLarge,
        Unsupported,
        RateLimited,
        Unauthorized,
        Forbidden,
        NotFound,
        Conflict,
        Timeout,
        Unavailable,
        Unimplemented,
        SpawnFailed,
        Internal,
    )
}


_BY_NAME: dict[str, type[CymeError]] = {
    cls.__name__: cls for cls in (*_BY_CODE.values(), NoAnswer, ShuttingDown)
}


def from_wire(body: Mapping[str, Any]) -> CymeError:
    """Rebuild the error that :meth:`CymeError.to_wire` or ``to_peer`` sent.

    A code that this version does not know becomes :class:`Internal`, its
    message kept.
    """
    cls = _BY_CODE.get(str(body.get("code")), Internal)
    named = _BY_NAME.get(str(body.get("class")), cls)
    if issubclass(named, cls):
        cls = named
    return cls(str(body.get("message", "")), str(body.get("hint", "")))
