"""One HTTP request, to the address that was checked, within its time and size."""

from __future__ import annotations

import base64
import codecs
import re
import time
from collections.abc import Sequence
from typing import Any

import httpcore

from cyme_supd import __version__
from cyme_supd.domain.target import Policy, Target, check_url
from cyme_supd.domain.task import MAX_BODY, TIMEOUT_S, UrlRequest, text_of
from cyme_supd.errors import Invalid
from cyme_supd.workers.connecting import Line, Lines, NoAddress, Reach, Resolve, TooLate, resolve

USER_AGENT = f"Celery/cyme v{__version__}"
_DEFAULTS = (("User-Agent", USER_AGENT), ("Accept", "*/*"), ("Accept-Encoding", "identity"))
#: Those whose servers expect to be told that there is no body.
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_CHARSET = re.compile(r"""charset=["']?([A-Za-z0-9._-]{1,40})""", re.ASCII | re.IGNORECASE)
#: Codecs of Python's that no text is sent in. One takes a minute for a MiB, and
#: others make halves of characters, which no message can carry.
_NO_CHARSETS = frozenset(
    {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}
)
#: What may be sent again when nothing came back: twice is as good as once.
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})

#: Of all threads of this process.
lines = Lines()


class FetchFailed(Exception):
    """No answer came, and why."""


def fetch(
    request: UrlRequest,
    policy: Policy,
    resolve: Resolve = resolve,
    timeout_s: float = TIMEOUT_S,
    max_body: int = MAX_BODY,
) -> dict[str, Any]:
    """Send *request*; ``status_code headers body encoding truncated elapsed_s url``.

    Whatever the status, an answer is a result; redirects are not followed.
    ``body`` is text in the charset ``encoding``, or base64 where that says
    so. Raises :exc:`FetchFailed` where none comes within *timeout_s*, or the
    target is forbidden. The connection is kept for the next request to the
    same server, if that is one that may be sent twice: the server might close
    it in the moment it is used again, and then it is sent on a new one.
    """
    begun = time.monotonic()
    try:
        target = check_url(policy, request.url)
        reach = Reach(target, policy, resolve, begun + timeout_s)
        status, headers, body = _exchange(request, reach, max_body)
    except Invalid as exc:
        raise FetchFailed(exc.message) from None
    except (httpcore.TimeoutException, TooLate):
        raise FetchFailed(f"no answer within {timeout_s:g} s") from None
    except NoAddress as exc:
        raise FetchFailed(str(exc)) from None
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError, UnicodeError) as exc:
        raise FetchFailed(f"{type(exc).__name__}: {exc}"[:500]) from None
    is_truncated = len(body) > max_body
    text, encoding = _readable(body[:max_body], headers, is_truncated)
    return {
        "status_code": status,
        "headers": headers,
        "body": text,
        "encoding": encoding,
        "truncated": is_truncated,
        "elapsed_s": round(time.monotonic() - begun, 6),
        "url": request.url,
    }


def _exchange(
    request: UrlRequest, reach: Reach, max_body: int
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers, and of the body at most one byte more than *max_body*."""
    line = lines.take(reach) if request.method in _REPEATABLE else None
    if line is not None:
        try:
            return _ask(line, request, max_body)
        except (httpcore.NetworkError, httpcore.RemoteProtocolError):
            # Closed by the server in the moment it was used again.
            if line.has_received:
                raise
    return _ask(Line(reach), request, max_body)


def _ask(line: Line, request: UrlRequest, max_body: int) -> tuple[int, dict[str, str], bytes]:
    target = line.reach.target
    url = httpcore.URL(
        scheme=target.scheme.encode(),
        host=target.host.encode(),
        port=target.port,
        target=target.path.encode(),
    )
    content = request.body if request.body or request.method in _WITH_BODY else None
    headers = _headers(request, target)
    body = bytearray()
    try:
        with line.connection.stream(
            request.method, url, headers=headers, content=content
        ) as response:
            for chunk in response.iter_stream():
                body += chunk
                if len(body) > max_body:
                    break
            return response.status, _joined(response.headers), bytes(body[: max_body + 1])
    finally:
        lines.give(line)


def _headers(request: UrlRequest, target: Target) -> list[tuple[bytes, bytes]]:
    given = {name.lower() for name, _ in request.headers}
    pairs = [("Host", target.authority)]
    pairs += [pair for pair in _DEFAULTS if pair[0].lower() not in given]
    if target.userinfo and "authorization" not in given:
        token = base64.b64encode(target.userinfo.encode()).decode()
        pairs.append(("Authorization", f"Basic {token}"))
    pairs += request.headers
    if request.method not in _REPEATABLE:
        pairs.append(("Connection", "close"))
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in pairs]


def _joined(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """By name; the values of one that is there several times in one, with commas."""
    names: dict[str, str] = {}
    joined: dict[str, list[str]] = {}
    for raw_name, raw_value in headers:
        name = raw_name.decode("latin-1")
        joined.setdefault(names.setdefault(name.lower(), name), []).append(
            raw_value.decode("latin-1")
        )
    return {name: ", ".join(values) for name, values in joined.items()}


def _readable(body: bytes, headers: dict[str, str], is_truncated: bool) -> tuple[str, str]:
    kind = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    charset = _charset(kind)
    # The cut may have gone through a character.
    for cut in range(4) if is_truncated and charset == "utf-8" else (0,):
        text, encoding = text_of(body[: len(body) - cut], charset)
        if encoding != "base64":
            return text, encoding
    return text_of(body, charset)


def _charset(kind: str) -> str:
    """The charset that a ``Content-Type`` names, if it is one; or else what is usual."""
    found = _CHARSET.search(kind)
    name = found[1].lower() if found else "utf-8"
    try:
        return "utf-8" if codecs.lookup(name).name in _NO_CHARSETS else name
    except LookupError:
        return "utf-8"
