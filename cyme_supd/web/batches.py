"""A list of URLs, as it is sent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from cyme_supd.domain.naming import nearest
from cyme_supd.domain.task import MAX_BATCH, UrlRequest, check_headers, check_method
from cyme_supd.domain.values import load_json
from cyme_supd.errors import CymeError, Invalid, Unsupported

_FIELDS = ("url", "method", "params", "data", "headers")
_FORM = "application/x-www-form-urlencoded"


def read_batch(body: bytes, mimetype: str) -> list[UrlRequest]:
    """The requests in a JSON list of ``{url, method, params, data, headers}``.

    ``params`` are added to the URL's query. ``data`` goes as it is if it is a
    string, an object of strings as a form, everything else as JSON. Raises
    ``Invalid`` naming the entry and the field.
    """
    if mimetype != "application/json":
        raise Unsupported(
            "the URLs of a batch are a JSON list", "set Content-Type to application/json"
        )
    entries = load_json(body)
    if not isinstance(entries, list):
        raise Invalid("the body is no JSON list", 'send [{"url": "http://host/path"}, ...]')
    if len(entries) > MAX_BATCH:
        raise Invalid(f"more than {MAX_BATCH} URLs at once", "send them in parts")
    return [_named(index, entry) for index, entry in enumerate(entries)]


def _named(index: int, entry: Any) -> UrlRequest:
    try:
        return _request(entry)
    except CymeError as exc:
        raise type(exc)(f"[{index}] {exc.message}", exc.hint) from None


def _request(entry: Any) -> UrlRequest:
    if isinstance(entry, str):
        entry = {"url": entry}
    if not isinstance(entry, Mapping):
        raise Invalid("is no object", 'send {"url": "http://host/path"}')
    for name in entry:
        if name not in _FIELDS:
            raise Invalid(f"unknown field {name[:60]!r}", nearest(name[:60], _FIELDS))
    headers = list(_headers(_given(entry, "headers", {})))
    body, kind = _data(entry.get("data"))
    if kind and not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", kind))
    return UrlRequest(
        method=check_method(_given(entry, "method", "GET")),
        url=_url(entry.get("url"), _given(entry, "params", {})),
        headers=check_headers(headers),
        body=body,
    )


def _given(entry: Mapping[str, Any], name: str, default: Any) -> Any:
    value = entry.get(name)
    return default if value is None or value == "" else value


def _url(url: Any, params: Any) -> str:
    if not isinstance(url, str):
        raise Invalid("url: a string", "http://host/path")
    if not isinstance(params, Mapping):
        raise Invalid("params: an object")
    if not params:
        return url
    query = _form("params", [(name, _text(value)) for name, value in _pairs(params)])
    base, sign, fragment = url.partition("#")
    return f"{base}{'&' if '?' in base else '?'}{query}{sign}{fragment}"


def _pairs(params: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for name, value in params.items():
        for one in value if isinstance(value, list) else [value]:
            yield name, one


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) or value is None:
        return json.dumps(value) if value is not None else ""
    raise Invalid("params: values are strings, numbers, or lists of them")


def _headers(headers: Any) -> Iterable[tuple[str, str]]:
    if not isinstance(headers, Mapping):
        raise Invalid("headers: an object")
    for name, value in headers.items():
        if not isinstance(value, str):
            raise Invalid(f"headers: the value of {name[:60]!r} is no string")
        yield name, value


def _data(data: Any) -> tuple[bytes, str]:
    """The body, and its type where nothing else is said."""
    if data is None or data == "":
        return b"", ""
    if isinstance(data, str):
        return _encoded("data", data), _FORM
    if isinstance(data, Mapping) and all(isinstance(value, str) for value in data.values()):
        return _form("data", list(data.items())).encode(), _FORM
    return json.dumps(data).encode(), "application/json"


def _form(name: str, pairs: Sequence[tuple[str, str]]) -> str:
    for pair in pairs:
        _encoded(name, "".join(pair))
    return urlencode(pairs)


def _encoded(name: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Invalid(f"{name}: has half a character in it") from None
