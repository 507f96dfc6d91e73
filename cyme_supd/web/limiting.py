"""How often one client may ask: who asks more is refused before it costs anything.

A client is an address. Each process of the web counts for itself and gives
its share of what is allowed, so nothing is stored and nobody waits.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

from cyme_supd.errors import RateLimited
from cyme_supd.web import errors, wire
from cyme_supd.web.guard import Guard
from cyme_supd.web.paths import TARGET
from cyme_supd.web.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: What was not asked for is saved up for so long, and may then be asked at once.
SAVED_S = 2.0
#: To queue one URL costs about this share of what other requests cost.
URL_COST = 0.25
#: Clients that are remembered; of those who ask from more addresses nobody is.
MAX_CLIENTS = 10_000
#: For those who watch whether it lives.
FREE = frozenset({"/ping", "/ping/", "/health", "/health/"})


class Allowance:
    """Of *rate* requests a second each client may make, what it has not used.

    A bucket of tokens is told by one number: the moment at which it is full.
    """

    def __init__(self, rate: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._full_at: dict[str, float] = {}

    def take(self, client: str, cost: float = 1.0) -> float:
        """Count a request; if it is one too many, do not, but say after how many seconds."""
        with self._lock:
            now = self._monotonic()
            full_at = max(now, self._full_at.get(client, now)) + cost / self._rate
            wait_s = full_at - now - SAVED_S
            if wait_s > 0:
                return wait_s
            if client not in self._full_at and len(self._full_at) >= MAX_CLIENTS:
                self._forget(now)
            self._full_at[client] = full_at
            return 0.0

    def _forget(self, now: float) -> None:
        used = {client: at for client, at in self._full_at.items() if at > now}
        self._full_at = used if len(used) < MAX_CLIENTS else {}


class Limiting:
    """*wsgi*, to which only those come that have not asked too often."""

    def __init__(self, wsgi: WSGIApplication, guard: Guard, settings: Settings) -> None:
        self._wsgi = wsgi
        self._guard = guard
        self._allowance = Allowance(settings.api_rate / settings.processes)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        wait_s = 0.0
        if environ["PATH_INFO"] not in FREE:
            cost = URL_COST if TARGET in environ else 1.0
            wait_s = self._allowance.take(environ.get("REMOTE_ADDR", ""), cost)
        if not wait_s:
            return self._wsgi(environ, start_response)
        return self._refuse(environ, start_response, wait_s)

    def _refuse(
        self, environ: WSGIEnvironment, start_response: StartResponse, wait_s: float
    ) -> Iterable[bytes]:
        error = RateLimited(
            "too many requests from this address",
            "wait for as long as Retry-After says; URLs may be queued many at once, as a list; "
            "cyme-branch --api-rate allows more",
        )
        body = wire.encoded(errors.body_of(error))
        headers = [
            ("Retry-After", str(math.ceil(wait_s))),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            *self._guard.headers(environ),
        ]
        start_response(f"{error.http} {HTTPStatus(error.http).phrase.upper()}", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
