"""The record of tasks over HTTP."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from cyme_supd.domain.ledgerstore import Source
from cyme_supd.service import Joining, Service
from cyme_supd.web import wire
from cyme_supd.web.params import takes
from cyme_supd.web.routing import Routes
from cyme_supd.web.schemas import Shown
from cyme_supd.web.scopes import HERE


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("tracking", __name__)

    @takes(Shown)
    def join(app: str, sent: Shown) -> Response:
        return wire.answer(_joining(service.tracking.get(app), wire.shows_secrets(sent)))

    Routes(noun, "/").reading("<app>/tracking/", join, HERE)
    return noun


def _joining(found: Joining, secrets: bool) -> dict[str, Any]:
    return {
        "is_tracked": found.app.is_tracked,
        "broker": found.broker.as_dict(secrets),
        "exchange": found.place.exchange,
        "platform_queue": found.place.queue,
        "install": "pip install cyme-supd",
        "imports": "from cyme_supd.tracking import Config",
        "line": found.line,
        "seen": _seen(found.seen) if found.seen is not None else None,
    }


def _seen(source: Source) -> dict[str, Any]:
    """Moments are epoch seconds, null for never."""
    return {
        "watched_at": source.watched_at or None,
        "message_at": source.message_at or None,
        "event_at": source.event_at or None,
        "refused": dict(source.refused),
    }
