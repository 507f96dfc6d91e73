"""The route that queues one URL: answered before Flask, which costs as much as all the rest."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlsplit

from cyme_supd.domain.access import URL, Caller, check, needed
from cyme_supd.domain.masking import masked, masked_url
from cyme_supd.domain.task import MAX_DATA, METHODS, UrlRequest, check_headers
from cyme_supd.errors import CymeError, Invalid, NotFound, TooLarge
from cyme_supd.service import Service
from cyme_supd.web import errors, journal, wire
from cyme_supd.web.counting import ROUTE
from cyme_supd.web.guard import Guard, is_preflight
from cyme_supd.web.paths import TARGET, queue_name

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_FORWARD = "HTTP_X_FORWARD_"
_ROUTE = "/<app>/queue/<queue>/<url>"

Headers = list[tuple[str, str]]


class Queueing:
    """*wsgi*, in front of which requests to queue a URL are answered."""

    def __init__(self, wsgi: WSGIApplication, guard: Guard, service: Service, branch: str) -> None:
        self._wsgi = wsgi
        self._guard = guard
        self._service = service
        self._branch = branch

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        is_ours = TARGET in environ and environ["REQUEST_METHOD"] in METHODS
        is_asking = is_preflight(environ) and self._guard.welcome(environ)
        if not is_ours or is_asking:
            return self._wsgi(environ, start_response)
        environ[ROUTE] = _ROUTE
        status, headers, body = self._answer(environ)
        journal.note_url(self._branch, environ["REQUEST_METHOD"], environ["PATH_INFO"], status)
        headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        headers += self._guard.headers(environ)
        start_response(f"{status} {HTTPStatus(status).phrase.upper()}", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _answer(self, environ: WSGIEnvironment) -> tuple[int, Headers, bytes]:
        try:
            self._guard.check(environ)
            caller = self._guard.caller(environ)
            self._guard.check_forgery(environ, caller)
            return self._queue(environ, caller)
        except CymeError as exc:
            error = exc
        except Exception as exc:
            error = errors.unexpected(exc)
        return error.http, errors.headers_of(error), wire.encoded(errors.body_of(error))

    def _queue(self, environ: WSGIEnvironment, caller: Caller) -> tuple[int, Headers, bytes]:
        app, queue = _names(environ["PATH_INFO"])
        check(caller, needed(environ["REQUEST_METHOD"], URL), app)
        wanted = _request(environ)
        id = self._service.tasks.queue(app, queue, wanted)
        # Below the prefix that a proxy may have put before us.
        prefix = environ.get("SCRIPT_NAME", "")
        location = f"{quote(prefix)}/{quote(app)}/query/{id}/state/"
        return 202, [("Location", location)], wire.encoded(_accepted(queue, id, wanted))


def _names(path: str) -> tuple[str, str]:
    """App and queue in ``/<app>/queue/[!/]<queue>/-``."""
    try:
        parts = path.encode("latin-1").decode().split("/")
    except UnicodeDecodeError:
        raise Invalid("the path is not UTF-8") from None
    if parts[3:-2] not in ([], ["!"]):
        # Decoded, the app's name has a slash in it.
        raise NotFound("there is no such route", "only the queue's name may be percent-encoded")
    return parts[1], queue_name(parts[-2])


def _request(environ: WSGIEnvironment) -> UrlRequest:
    """The request that the one at hand describes: its verb, its body, its target."""
    # A server hands headers over as Latin-1.
    headers = list(_forwarded(environ))
    kind = environ.get("CONTENT_TYPE", "")
    if kind and not any(name == "Content-Type" for name, _ in headers):
        headers.append(("Content-Type", kind))
    method, url = environ["REQUEST_METHOD"], environ[TARGET]
    return UrlRequest(method, url, check_headers(headers), read_data(environ))


def _forwarded(environ: WSGIEnvironment) -> Iterable[tuple[str, str]]:
    for key, value in environ.items():
        if key.startswith(_FORWARD):
            yield "-".join(key[len(_FORWARD) :].split("_")).title(), value


def read_data(environ: WSGIEnvironment) -> bytes:
    """The body of a request that queues something; raises ``TooLarge``."""
    length = environ.get("CONTENT_LENGTH") or ""
    if length == "0" or not (length or environ.get("wsgi.input_terminated")):
        # Nothing, or nobody says where it ends.
        return b""
    if length.isdecimal() and int(length) > MAX_DATA:
        raise _too_large()
    wanted = int(length) if length.isdecimal() else MAX_DATA + 1
    body: bytes = environ["wsgi.input"].read(wanted)
    if len(body) > MAX_DATA:
        raise _too_large()
    if length.isdecimal() and len(body) < wanted:
        # Who sends it has gone away: what has come is not what was meant.
        raise Invalid("the body ended too soon")
    return body


def _too_large() -> TooLarge:
    return TooLarge("the data is too large", f"{MAX_DATA // 2**20} MiB is the most")


def _accepted(queue: str, id: str, wanted: UrlRequest) -> dict[str, Any]:
    return {
        "uuid": id,
        "url": masked_url(wanted.url),
        "queue": queue,
        "method": wanted.method,
        "params": masked(_params(wanted.url)),
    }


def _params(url: str) -> dict[str, Any]:
    params: dict[str, list[str]] = {}
    for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        params.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in params.items()}
