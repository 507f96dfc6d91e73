"""Calls over HTTP, or into a WSGI application without a socket."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

import httpx

from cyme_supd import __version__
from cyme_supd.client.calls import JSON, Call, NotAnswered, NotSent, Reply, TooLate, shown_url
from cyme_supd.errors import Invalid

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CONNECT_S = 5.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Exchange:
    """Connections to the server at *url*, kept and shared between threads."""

    def __init__(self, url: str, token: str | None, wsgi: WSGIApplication | None) -> None:
        headers = {"Accept": JSON, "User-Agent": f"cyme-supd/{__version__}"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._url = url
        self._shown = shown_url(url)
        try:
            self._http = httpx.Client(
                headers=headers,
                transport=_Wsgi(wsgi) if wsgi is not None else None,
                # What is on this very machine is not behind a proxy.
                trust_env=httpx.URL(url).host not in _LOOPBACK,
            )
        except (httpx.InvalidURL, UnicodeError) as exc:
            raise Invalid(f"url: {exc}", "http://host:port") from None

    def send(self, call: Call) -> Reply:
        """The answer, whatever it says; raises ``NotSent`` or ``NotAnswered``."""
        headers = {} if call.body is None else {"Content-Type": JSON}
        try:
            response = self._http.request(
                call.method,
                self._url + call.path,
                params=call.query or None,
                content=call.body,
                headers=headers,
                timeout=httpx.Timeout(call.within_s, connect=CONNECT_S),
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as exc:
            raise NotSent(f"no connection to {self._shown}: {_reason(exc)}") from None
        except httpx.TimeoutException:
            raise TooLate(f"{self._shown}: no answer within {call.within_s:g} s") from None
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL) as exc:
            raise Invalid(f"it cannot be sent: {exc}") from None
        except httpx.RequestError as exc:
            raise NotAnswered(f"the connection to {self._shown} broke: {_reason(exc)}") from None
        names = {name.lower(): value for name, value in response.headers.items()}
        return Reply(response.status_code, names, response.content)

    def close(self) -> None:
        self._http.close()


def _reason(exc: Exception) -> str:
    return str(exc) or type(exc).__name__


class _Wsgi(httpx.BaseTransport):
    """Into *app*, in this thread. What it raises comes out here."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        line = request.url.raw_path

        def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            # As servers hand them over: decoded, each byte a character; and as it was sent.
            path = unquote_to_bytes(line.partition(b"?")[0])
            more: dict[str, Any] = {"PATH_INFO": path.decode("latin-1")}
            environ.update(more, RAW_URI=line.decode("ascii"))
            return self._app(environ, start_response)

        return httpx.WSGITransport(app).handle_request(request)
