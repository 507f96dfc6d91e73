"""One log line per request that changes something."""

from __future__ import annotations

import logging
from urllib.parse import quote

from flask import Flask, Response, g, request

from cyme_supd.domain.access import SAFE_METHODS
from cyme_supd.domain.masking import masked_url
from cyme_supd.service.acting import acting
from cyme_supd.web.settings import Settings

SHOWN_PATH = 200

logger = logging.getLogger("cyme_supd.web")


def about(name: str) -> None:
    """Note which object the request at hand made or found: it ends the log line."""
    g.subject = name


def install(app: Flask, settings: Settings) -> None:
    @app.after_request
    def write(response: Response) -> Response:
        if request.method not in SAFE_METHODS:
            logger.info(
                "%s: %s %s -> %s%s%s",
                settings.branch,
                _word(request.method),
                _path(request.path),
                response.status_code,
                _told(" {}", g.get("subject")),
                _told(", by {}", acting().name if "acting" in g else None),
            )
        return response


def note_url(branch: str, method: str, path: str, status: int) -> None:
    """The line for a queued URL, where somebody looks closely.

    There may be a thousand a second, and every line is one more thing that
    supervisord has to carry.
    """
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug("%s: %s %s -> %s", branch, _word(method), _path(path), status)


def _path(path: str) -> str:
    """Without its query, where secrets may be, and with nothing that ends a line.

    A URL with a password may be in it where it missed the route by a letter.
    """
    path = quote(masked_url(path), safe="/!:@,+=~.-_*")
    return path if len(path) <= SHOWN_PATH else path[:SHOWN_PATH] + "..."


def _told(words: str, what: str | None) -> str:
    return words.format(what) if what else ""


def _word(method: str) -> str:
    return quote(method[:20], safe="")
