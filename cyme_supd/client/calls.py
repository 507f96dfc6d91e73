"""One call and its answer, whatever carries them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from cyme_supd.errors import (
    CymeError,
    Forbidden,
    Internal,
    Invalid,
    NoAnswer,
    NotFound,
    RateLimited,
    TooLarge,
    Unauthorized,
    Unavailable,
    from_wire,
)

JSON = "application/json"
#: Those that a server may get twice and be as if it had got them once.
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})

#: What the answer of somebody else, such as a proxy, is to the caller.
_BY_STATUS: Mapping[int, type[CymeError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    407: Unauthorized,
    413: TooLarge,
    429: RateLimited,
    502: Unavailable,
    503: Unavailable,
    504: NoAnswer,
}


class Call(NamedTuple):
    """``path`` is encoded; ``body`` is JSON or nothing; ``within_s`` is for the answer."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes | None
    within_s: float
    is_repeatable: bool


class Reply(NamedTuple):
    """Names of ``headers`` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Incomplete(UserWarning):
    """Some branches have not answered: what they have is not in a list, or they are told later."""


class NotSent(Exception):
    """No connection: nobody has got the call."""


class NotAnswered(Exception):
    """The connection broke: the call may have arrived."""


class TooLate(NotAnswered):
    """It may have arrived, and nobody answered in time."""


def shown_url(url: str) -> str:
    """*url* without who asks."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def segment(kind: str, name: object) -> str:
    """*name* as one segment of a path, whatever is in it.

    Raises ``Invalid`` where it is empty or no text: the path would be another.
    """
    if not isinstance(name, str) or not name:
        raise Invalid(f"{kind}: a name is needed", f"not {name!r}")
    try:
        encoded = quote(name, safe="")
    except UnicodeEncodeError:
        raise Invalid(f"{kind}: has half a character in its name") from None
    # As they are, they would be steps in the path.
    return encoded.replace(".", "%2E") if name in (".", "..") else encoded


def query_of(params: Mapping[str, Any]) -> dict[str, str]:
    """*params* without those that are ``None``, in the words of a query."""
    return {name: _word(value) for name, value in params.items() if value is not None}


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return value if isinstance(value, str) else json.dumps(value)


def body_of(value: Any) -> bytes:
    """*value* as JSON; raises ``Invalid`` for what has no place in it."""
    try:
        return json.dumps(value, allow_nan=False).encode()
    except (TypeError, ValueError) as exc:
        raise Invalid(f"it cannot be sent as JSON: {exc}") from None


def value_of(reply: Reply, url: str) -> Any:
    """The JSON of a good answer; the error that any other one is, raised."""
    value = _json(reply)
    if reply.status >= 400:
        raise _error(reply.status, value, url)
    if value is None or reply.status >= 300:
        raise _foreign(reply, url)
    return value


def text_of(reply: Reply, url: str) -> str:
    """The text of a good answer."""
    if reply.status >= 400:
        raise _error(reply.status, _json(reply), url)
    if reply.status >= 300:
        raise _foreign(reply, url)
    return reply.body.decode("utf-8", "replace")


def is_ours(reply: Reply) -> bool:
    """Whether it is a branch that refuses, and not somebody on the way to it."""
    return _words(_json(reply)) is not None


def _json(reply: Reply) -> Any:
    """``None`` where the body is none."""
    try:
        return json.loads(reply.body)
    except ValueError:
        return None


def _words(value: Any) -> Mapping[str, Any] | None:
    words = value.get("error") if isinstance(value, dict) else None
    return words if isinstance(words, dict) and "code" in words else None


def _error(status: int, value: Any, url: str) -> CymeError:
    words = _words(value)
    if words is None:
        kind = _BY_STATUS.get(status, Internal)
        error: CymeError = kind(
            f"{url} answered with status {status}, and not as a branch does",
            "is there a proxy in between, or another server?",
        )
    else:
        # Of two classes with one code, the status says which.
        error = from_wire({"class": "NoAnswer" if status == NoAnswer.http else "", **words})
        # Of a later version, it has a class of its own there.
        error.code = str(words["code"])
    error.http = status
    return error


def _foreign(reply: Reply, url: str) -> CymeError:
    kind = reply.headers.get("content-type", "no type")
    return Internal(
        f"{url} does not answer as a branch does (status {reply.status}, {kind})",
        "see whether the URL is that of a branch: GET /ping/ there",
    )
