"""From errors to answers."""

from __future__ import annotations

import logging
import math

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from cyme_supd.errors import (
    CymeError,
    Internal,
    Invalid,
    MethodNotAllowed,
    NotFound,
    RateLimited,
    TooLarge,
    Unauthorized,
    Unavailable,
    Unsupported,
)
from cyme_supd.web.wire import answer

RETRY_AFTER_S = 2
_WAYS_IN = ('Bearer realm="cyme"', 'Basic realm="cyme", charset="UTF-8"')

logger = logging.getLogger("cyme_supd.web")

_BY_STATUS: dict[int, tuple[type[CymeError], str, str]] = {
    404: (NotFound, "there is no such route", "GET / lists the applications"),
    405: (MethodNotAllowed, "the route has no such method", "Allow names those it has"),
    413: (
        TooLarge,
        "the request is too large",
        "a body may have 1 MiB, the data of queued URLs and the jobs of a category 16",
    ),
    415: (Unsupported, "the body is of an unknown type", "send a form or JSON"),
}


def install(app: Flask) -> None:
    app.register_error_handler(CymeError, of_ours)
    app.register_error_handler(HTTPException, of_http)
    app.register_error_handler(Exception, of_anything)


def of_ours(error: CymeError) -> Response:
    """The contract's error body, under the status of the error's class."""
    response = answer(body_of(error), error.http)
    response.headers.extend(headers_of(error))
    return response


def body_of(error: CymeError) -> dict[str, dict[str, str]]:
    return {"error": error.to_wire()}


def headers_of(error: CymeError) -> list[tuple[str, str]]:
    if isinstance(error, Unauthorized):
        return [("WWW-Authenticate", each) for each in _WAYS_IN]
    if isinstance(error, RateLimited):
        return [("Retry-After", str(math.ceil(error.retry_after_s)))]
    return [("Retry-After", str(RETRY_AFTER_S))] if isinstance(error, Unavailable) else []


def of_http(error: HTTPException) -> Response:
    """What routing and the parsing of a request refuse."""
    status = error.code or 500
    if status >= 500:
        return of_anything(error)
    response = of_ours(in_words(error))
    for name, value in error.get_headers():
        if name.lower() == "allow":
            response.headers["Allow"] = value
    return response


def in_words(error: HTTPException) -> CymeError:
    """Ours for one of what routing and the parsing of a request refuse."""
    otherwise = (Invalid, "the request cannot be read", "")
    kind, message, hint = _BY_STATUS.get(error.code or 0, otherwise)
    return kind(message, hint)


def of_anything(error: Exception) -> Response:
    return of_ours(unexpected(error))


def unexpected(error: Exception) -> Internal:
    """A fault of ours: it is in the log, not in the answer."""
    logger.error("a request failed", exc_info=error)
    return Internal("something went wrong here", "the branch's log has the details")
