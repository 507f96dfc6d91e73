"""All at a glance, over HTTP."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from cyme_supd.domain.attention import LEVELS
from cyme_supd.domain.samples import Point
from cyme_supd.domain.spec import Queue
from cyme_supd.service import Overview, Seen, Service
from cyme_supd.web import gathering, wire
from cyme_supd.web.params import takes
from cyme_supd.web.routing import Routes
from cyme_supd.web.schemas import Nothing
from cyme_supd.web.scopes import HERE, Everyone


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("overview", __name__)

    @takes(Nothing)
    def get(sent: Nothing) -> Response:
        return wire.answer(_shown(service.overviews.get()))

    @takes(Nothing)
    def queues(sent: Nothing) -> Response:
        found = service.queues.everyone()
        shown = [{"app": each.queue.app, **wire.queue_details(each, False)} for each in found]
        return wire.answer({"data": {"queues": shown}})

    routes = Routes(noun, "/api/")
    routes.reading("overview/", get, Everyone(gathering.overview))
    routes.reading("queues/", queues, HERE)
    return noun


def _shown(found: Overview) -> dict[str, Any]:
    """Those that need somebody first come first."""
    seen = sorted(found.seen, key=lambda each: LEVELS.index(each.attention.level))
    return {
        "data": {
            "apps": [
                {
                    "name": each.name,
                    "broker": found.brokers[each.name],
                    "pause": wire.pause(each.pause),
                }
                for each in found.apps
            ],
            "queues": [_queue(each, found) for each in found.queues],
            "instances": [_seen(each) for each in seen],
        }
    }


def _queue(queue: Queue, found: Overview) -> dict[str, Any]:
    point = found.waiting.get((queue.app, queue.name), Point())
    return {
        "app": queue.app,
        "name": queue.name,
        "pause": wire.pause(queue.pause),
        "depth": point.depth,
        "oldest_s": point.oldest_s,
    }


def _seen(seen: Seen) -> dict[str, Any]:
    spec, status, condition = seen.instance, seen.status, seen.attention.condition
    return {
        "name": spec.name,
        "app": spec.app,
        "branch": spec.branch,
        "is_enabled": spec.is_enabled,
        "queues": list(spec.queues),
        "max_concurrency": spec.max_concurrency,
        "min_concurrency": spec.min_concurrency,
        "state": status.state if status else None,
        "ready": status.ready if status else None,
        "consuming": status.consuming if status else None,
        "level": seen.attention.level,
        "condition": wire.condition(condition) if condition else None,
    }
