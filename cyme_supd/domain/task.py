"""Queued URLs: what is asked for, its id, and how it ended. Pure."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from cyme_supd.errors import Invalid

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH")
MAX_DATA = 16 * 1024 * 1024
MAX_BATCH = 10_000
MAX_HEADERS = 64
MAX_HEADER = 8192
#: How long a request may take, connecting and reading together, and how much
#: of the answer's body is kept.
TIMEOUT_S = 60.0
MAX_BODY = 1024 * 1024
#: What the worker's task is called.
TASK = "cyme.request"
RESULTS_PREFIX = "cyme.results."

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}", re.ASCII)
#: What frames the message, or says whom it is for: not the caller's to say.
_OWN_HEADERS = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_KEY_BYTES = 32


class TaskState(StrEnum):
    """Celery's words; PENDING is every task that has not ended."""

    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"


@dataclass(frozen=True, slots=True)
class UrlRequest:
    """What a worker is to send: all of it as it goes over the wire.

    ``headers`` are pairs in order; ``body`` bytes, empty for none.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def as_kwargs(self) -> dict[str, Any]:
        """The task's keyword arguments, in JSON's types."""
        kwargs: dict[str, Any] = {"method": self.method, "url": self.url}
        if self.headers:
            kwargs["headers"] = [list(pair) for pair in self.headers]
        if self.body:
            kwargs["body"], kwargs["encoding"] = text_of(self.body)
        return kwargs


@dataclass(frozen=True, slots=True)
class Task:
    """How a task ended. ``result`` is the answer, ``error`` why there is none."""

    id: str
    app: str
    state: TaskState
    result: Mapping[str, Any] | None
    error: str | None
    finished_at: datetime


def results_queue(branch: str) -> str:
    """Where workers send how the tasks ended that *branch* has queued."""
    return RESULTS_PREFIX + branch


def new_id(key: bytes, app: str, at: datetime, random: bytes) -> str:
    """An id that says when it was given, and that *key* gave it, for *app*.

    A UUID of version 7: 48 bits of milliseconds; the rest is 34 bits of
    *random* (5 bytes) and 40 bits of proof. So that an id nobody gave is
    known as such without a row for every task that was ever queued.
    """
    moment = int(at.timestamp() * 1000) & (2**48 - 1)
    drawn = int.from_bytes(random[:5], "big") & (2**34 - 1)
    seed = (moment << 34) | drawn
    low = ((drawn & (2**22 - 1)) << 40) | _proof(key, app, seed)
    value = (moment << 80) | (0x7 << 76) | ((drawn >> 22) << 64) | (0x2 << 62) | low
    return str(UUID(int=value))


def given_at(key: bytes, app: str, id: str) -> datetime | None:
    """When :func:`new_id` gave *id* for *app*; ``None`` if it never did.

    Only in the very form it was given in: results are found by that.
    """
    try:
        value = UUID(id).int
    except ValueError:
        return None
    if str(UUID(int=value)) != id:
        return None
    moment = value >> 80
    drawn = (((value >> 64) & (2**12 - 1)) << 22) | ((value >> 40) & (2**22 - 1))
    is_ours = (value >> 76) & 0xF == 0x7 and (value >> 62) & 0x3 == 0x2
    if not is_ours or value & (2**40 - 1) != _proof(key, app, (moment << 34) | drawn):
        return None
    return datetime.fromtimestamp(moment / 1000, UTC)


def _proof(key: bytes, app: str, seed: int) -> int:
    text = seed.to_bytes(11, "big") + app.encode()
    digest = hashlib.blake2s(text, key=key[:_KEY_BYTES], digest_size=5).digest()
    return int.from_bytes(digest, "big")


def check_method(method: object) -> str:
    if not isinstance(method, str) or not method.isascii() or method.upper() not in METHODS:
        raise Invalid("method: unknown", f"one of: {', '.join(METHODS)}")
    return method.upper()


def check_headers(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """*pairs* as they may be sent; :exc:`Invalid` names what may not."""
    # Space around a value is not part of it, and libraries refuse to send it.
    headers = tuple((name, value.strip(" \t")) for name, value in pairs)
    if len(headers) > MAX_HEADERS:
        raise Invalid(f"headers: more than {MAX_HEADERS}")
    for name, value in headers:
        if not _HEADER_NAME.fullmatch(name):
            raise Invalid(f"headers: {name[:60]!r} is not the name of a header")
        if name.lower() in _OWN_HEADERS:
            raise Invalid(f"headers: {name} is set by the worker", "leave it out")
        if len(value) > MAX_HEADER or not _is_header_text(value):
            raise Invalid(f"headers: the value of {name} cannot be sent")
    return headers


def _is_header_text(value: str) -> bool:
    return all(char == "\t" or (" " <= char <= "\xff" and char != "\x7f") for char in value)


def text_of(body: bytes, charset: str = "utf-8") -> tuple[str, str]:
    """*body* as a string, and what turns it back: a charset, or ``base64``."""
    try:
        text = body.decode(charset)
        if text.encode(charset) == body:
            return text, charset
    except (UnicodeError, LookupError):
        pass
    return base64.b64encode(body).decode("ascii"), "base64"


def bytes_of(text: str, encoding: str) -> bytes:
    """The bytes that :func:`text_of` was given."""
    return base64.b64decode(text) if encoding == "base64" else text.encode(encoding)
