"""The WSGI application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Flask

from cyme_supd.service import Service
from cyme_supd.web import (
    access,
    apps,
    audit,
    branches,
    consumers,
    contract,
    counting,
    errors,
    events,
    guard,
    history,
    instances,
    jobs,
    journal,
    meta,
    metrics,
    orphans,
    overview,
    params,
    paths,
    pauses,
    plans,
    queues,
    rehearsals,
    rollouts,
    scopes,
    tasks,
    tracking,
)
from cyme_supd.web.admin import blueprint as admin
from cyme_supd.web.admin import signing
from cyme_supd.web.limiting import Limiting
from cyme_supd.web.proxies import Proxies
from cyme_supd.web.queueing import Queueing
from cyme_supd.web.routing import Router
from cyme_supd.web.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def create_app(settings: Settings, service: Service) -> Flask:
    """The whole interface over *service*; nothing is opened or started."""
    app = Router("cyme_supd.web", static_folder=None, template_folder=None)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = params.MAX_BODY + 1
    counting.install(app)
    # The first to look at a request is the last to touch its answer.
    journal.install(app, settings)
    guards = guard.Guard(settings, service.access, service.sessions)
    guard.install(app, guards)
    errors.install(app)
    for noun in _nouns(service):
        app.register_blueprint(noun)
    app.register_blueprint(admin.blueprint(service.clock))
    app.register_blueprint(signing.blueprint(guards, service.sessions))
    rehearsals.install(app, service, _nouns)
    scopes.install(app, service.fleet)
    wsgi: WSGIApplication = Queueing(app.wsgi_app, guards, service, settings.branch)
    if settings.api_rate:
        wsgi = Limiting(wsgi, guards, settings)
    wsgi = counting.Counting(paths.with_whole_segments(wsgi), service.metrics)
    wsgi = Proxies(wsgi, settings.trusted_proxies)
    app.wsgi_app = wsgi  # type: ignore[method-assign]
    return app


def _nouns(service: Service) -> list[Blueprint]:
    return [
        noun.blueprint(service)
        for noun in (
            meta,
            metrics,
            branches,
            apps,
            instances,
            queues,
            consumers,
            pauses,
            rollouts,
            plans,
            orphans,
            tracking,
            tasks,
            jobs,
            audit,
            overview,
            events,
            history,
            access,
            contract,
        )
    ]
