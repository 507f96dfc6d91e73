"""Posts to a URL that the operator named, and waits so long for each step of that."""

from __future__ import annotations

import ssl

import httpcore

from cyme_supd import __version__
from cyme_supd.errors import Unavailable

TIMEOUT_S = 5.0
_HEADERS = [("Content-Type", "application/json"), ("User-Agent", f"cyme/{__version__}")]


class Webhook:
    """A connection for each post; certificates are checked by what the host trusts."""

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url
        self._timeouts = dict.fromkeys(("connect", "read", "write", "pool"), timeout_s)

    def post(self, body: bytes) -> None:
        """Raises ``Unavailable`` where that is not answered by a 2xx; the URL is not named:
        it may be a secret."""
        headers = [*_HEADERS, ("Content-Length", str(len(body)))]
        extensions = {"timeout": self._timeouts}
        try:
            with (
                httpcore.ConnectionPool(ssl_context=ssl.create_default_context()) as pool,
                pool.stream(
                    "POST", self._url, headers=headers, content=body, extensions=extensions
                ) as response,
            ):
                # Its body is nobody's, and might have no end.
                status = response.status
        except httpcore.TimeoutException:
            raise Unavailable("the alert webhook does not answer in time") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError, UnicodeError) as exc:
            raise Unavailable(f"the alert webhook is not reached: {type(exc).__name__}") from None
        if not 200 <= status < 300:
            raise Unavailable(f"the alert webhook answers {status}")
