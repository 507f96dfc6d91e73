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
from cyme_supd.web.schemas import Change, PauseEdit
from cyme_supd.web.scopes import Entry, Owner, Scope


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("pauses", __name__)
    _add(Routes(noun, "/"), service, "<app>/", _app, Entry(has_to_wait=True))
    queues = Routes(noun, "/<app>/queues/")
    _add(queues, service, "<queue>/", _queue, Entry("queue", has_to_wait=True))
    instances = Routes(noun, "/<app>/instances/", "/<app>/instance/")
    _add(instances, service, "<instance>/", _instance, Owner("instance"))
    return noun


def _app(app: str) -> Place:
    return Place(app)


def _queue(app: str, queue: str) -> Place:
    return Place(app, queue=queue_name(queue))


def _instance(app: str, instance: str) -> Place:
    return Place(app, instance=instance)


def _add(
    routes: Routes, service: Service, rest: str, place_of: Callable[..., Place], scope: Scope
) -> None:
    @takes(PauseEdit)
    def pause(nowait: bool, sent: PauseEdit, **path: str) -> Response:
        place = place_of(**path)
        timeout_s = None if nowait else sent.timeout_s
        outcome = service.pauses.pause(place, sent.reason, sent.until, timeout_s)
        journal.about(place.name)
        return wire.changed(place.name, outcome, nowait)

    @takes(Change)
    def resume(nowait: bool, sent: Change, **path: str) -> Response:
        place = place_of(**path)
        outcome = service.pauses.resume(place, None if nowait else sent.timeout_s)
        journal.about(place.name)
        return wire.changed(place.name, outcome, nowait)

    routes.acting(f"{rest}pause/", pause, ("POST",), scope)
    routes.acting(f"{rest}resume/", resume, ("POST",), scope)
