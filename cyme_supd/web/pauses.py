"""Pauses over HTTP: of apps, of their queues, of their instances."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response

from cyme_supd.service import Service
from cyme_supd.service.pauses import Place
from cyme_supd.web import journal, wire
from cyme_supd.web.params import takes
from cyme_supd.web.paths import queue_name
from cyme_supd.web.routing import Routes
from cyme_supd.web.schemas import PauseEdit, Waiting


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("pauses", __name__)
    _add(Routes(noun, "/"), service, "<app>/", _app)
    _add(Routes(noun, "/<app>/queues/"), service, "<queue>/", _queue)
    _add(Routes(noun, "/<app>/instances/", "/<app>/instance/"), service, "<instance>/", _instance)
    return noun


def _app(app: str) -> Place:
    return Place(app)


def _queue(app: str, queue: str) -> Place:
    return Place(app, queue=queue_name(queue))


def _instance(app: str, instance: str) -> Place:
    return Place(app, instance=instance)


def _add(routes: Routes, service: Service, rest: str, place_of: Callable[..., Place]) -> None:
    @takes(PauseEdit)
    def pause(nowait: bool, sent: PauseEdit, **path: str) -> Response:
        place = place_of(**path)
        timeout_s = None if nowait else sent.timeout_s
        outcome = service.pauses.pause(place, sent.reason, sent.until, timeout_s)
        journal.about(place.name)
        return wire.changed(place.name, outcome, nowait)

    @takes(Waiting)
    def resume(nowait: bool, sent: Waiting, **path: str) -> Response:
        place = place_of(**path)
        outcome = service.pauses.resume(place, None if nowait else sent.timeout_s)
        journal.about(place.name)
        return wire.changed(place.name, outcome, nowait)

    routes.acting(f"{rest}pause/", pause, ("POST",))
    routes.acting(f"{rest}resume/", resume, ("POST",))
