"""What a client and all it hands out share: where the branch is, and how to ask it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from cyme_supd.client.calls import (
    REPEATABLE,
    Call,
    Incomplete,
    Reply,
    body_of,
    is_ours,
    query_of,
    shown_url,
    text_of,
    value_of,
)
from cyme_supd.client.tries import Tries
from cyme_supd.errors import Internal, Invalid

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

#: How much longer than the branch itself may wait an answer is waited for.
MARGIN_S = 15.0
#: Names a page, where all are asked for.
PAGE = 1000

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
#: The header that names the branches which should have answered, too.
_UNKNOWN = "cyme-unknown"
_OUTPUT = "cyme-output"
_NOT_THAT = "see whether the URL is a branch's, and the name none of a route"


class Connection:
    """The branch at *url*, asked as whoever has *token*.

    ``timeout_s`` is how long the branch may wait until what was asked for is
    so. Safe to share between threads.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        timeout_s: float,
        secrets: bool,
        wsgi: WSGIApplication | None = None,
    ) -> None:
        self.url = _checked(url)
        #: Without who asks.
        self.shown_url = shown_url(self.url)
        self.timeout_s = timeout_s
        self._secrets = secrets
        self._tries = Tries(self.url, _checked_token(token), timeout_s, wsgi)

    # Asking

    def request(
        self, method: str, path: str, params: Mapping[str, Any], is_repeatable: bool | None = None
    ) -> Any:
        """The JSON that comes back; raises what the branch says is wrong.

        *params* that are ``None`` are not sent. Only where *is_repeatable*,
        by default what HTTP says of the method, a call that may have arrived
        is sent again.
        """
        call = self._call(method, path, params, is_repeatable)
        return value_of(self._answer(call), self.shown_url)

    def read(self, path: str, **params: Any) -> dict[str, Any]:
        return as_object(self.request("GET", path, params))

    def read_list(self, path: str, **params: Any) -> list[Any]:
        return as_list(self.request("GET", path, params))

    def read_text(self, path: str, **params: Any) -> str:
        return text_of(self._answer(self._call("GET", path, params)), self.shown_url)

    def read_part(self, path: str, **params: Any) -> tuple[str, str]:
        """Text, and which bytes that is of how many: ``bytes 0-9/9``."""
        reply = self._answer(self._call("GET", path, params))
        return text_of(reply, self.shown_url), reply.headers.get(_OUTPUT, "bytes 0-0/0")

    def read_health(self, path: str) -> dict[str, Any]:
        """What a branch says that is not well is an answer, too."""
        reply = self._tries.send_once(self._call("GET", path, {}))
        if reply.status == 503 and not is_ours(reply):
            reply = reply._replace(status=200)
        return as_object(value_of(reply, self.shown_url))

    def change(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        is_repeatable: bool | None = None,
    ) -> dict[str, Any]:
        """A change, for which the branch waits as long as this client says."""
        given = {"timeout": self.timeout_s, **(params or {})}
        return as_object(self.request(method, path, given, is_repeatable))

    def send_list(self, path: str, values: list[Any]) -> dict[str, Any]:
        """A list for a body; never sent a second time."""
        call = Call("POST", path, {}, body_of(values), self._within_s({}), False)
        return as_object(value_of(self._answer(call), self.shown_url))

    def names(self, path: str, limit: int = PAGE) -> Iterator[str]:
        """All names of a list, page by page, as far as somebody takes them."""
        query: dict[str, str] = {"limit": str(limit)}
        while query:
            reply = self._answer(self._call("GET", path, query))
            yield from as_list(value_of(reply, self.shown_url))
            query = _next_page(reply.headers.get("link", ""))

    @property
    def secrets(self) -> bool | None:
        """The parameter ``secrets`` of the routes that have it."""
        return True if self._secrets else None

    def close(self) -> None:
        self._tries.close()

    def lines(self, path: str, **params: Any) -> Iterator[str]:
        """All lines of a text, page by page, as far as somebody takes them."""
        query = query_of({name: value for name, value in params.items() if value is not None})
        while query:
            reply = self._answer(self._call("GET", path, query))
            yield from text_of(reply, self.shown_url).split("\n")[:-1]
            query = _next_page(reply.headers.get("link", ""))

    # How

    def _answer(self, call: Call) -> Reply:
        reply = self._tries.send(call)
        if silent := reply.headers.get(_UNKNOWN):
            message = f"{call.method} {call.path}: no word from {silent}"
            warnings.warn(message, Incomplete, stacklevel=4)
        return reply

    def _call(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any],
        is_repeatable: bool | None = None,
    ) -> Call:
        if not path.startswith("/"):
            raise Invalid("path: begins with a slash", "such as /foo/instances/")
        method = method.upper()
        has_body = method in _WITH_BODY
        given = {name: value for name, value in params.items() if value is not None}
        return Call(
            method=method,
            path=path,
            query={} if has_body else query_of(given),
            body=body_of(given) if has_body and given else None,
            within_s=self._within_s(given),
            is_repeatable=method in REPEATABLE if is_repeatable is None else is_repeatable,
        )

    def _within_s(self, params: Mapping[str, Any]) -> float:
        """As long as the branch may wait, and some more."""
        asked = params.get("timeout")
        waits_s = asked if isinstance(asked, int | float) else 0.0
        return max(waits_s, self.timeout_s) + MARGIN_S


def as_object(value: Any) -> dict[str, Any]:
    """*value*, if it is a JSON object."""
    if not isinstance(value, dict):
        raise Internal("the answer is no JSON object", _NOT_THAT)
    return value


def as_list(value: Any) -> list[Any]:
    """*value*, if it is a JSON list."""
    if not isinstance(value, list):
        raise Internal("the answer is no JSON list", _NOT_THAT)
    return value


def _checked(url: str) -> str:
    url = url.rstrip("/")
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query
        _ = parts.port
    except ValueError:
        is_good = False
    if not is_good:
        raise Invalid("url: that of a branch is needed", "such as http://127.0.0.1:8000")
    return url


def _checked_token(token: str | None) -> str | None:
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise Invalid("token: has characters that no token has", "see CYME_TOKEN")
    return token


def _next_page(link: str) -> dict[str, str]:
    """The query of what ``Link`` says is next; empty where nothing is."""
    target, _, relation = link.partition(">")
    if 'rel="next"' not in relation:
        return {}
    return dict(parse_qsl(urlsplit(target.lstrip("<")).query))
