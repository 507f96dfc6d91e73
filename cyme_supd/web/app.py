"""The WSGI application."""

from __future__ import annotations

from flask import Flask

from cyme_supd.service import Service
from cyme_supd.web import (
    apps,
    branches,
    consumers,
    errors,
    guard,
    instances,
    journal,
    meta,
    params,
    paths,
    pauses,
    queues,
    rollouts,
    tasks,
)
from cyme_supd.web.queueing import Queueing
from cyme_supd.web.settings import Settings


def create_app(settings: Settings, service: Service) -> Flask:
    """The whole interface over *service*; nothing is opened or started."""
    app = Flask("cyme_supd.web", static_folder=None, template_folder=None)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = params.MAX_BODY + 1
    # The first to look at a request is the last to touch its answer.
    journal.install(app, settings)
    guards = guard.Guard(settings)
    guard.install(app, guards)
    errors.install(app)
    for noun in (
        meta.blueprint(service),
        branches.blueprint(service),
        apps.blueprint(service),
        instances.blueprint(service),
        queues.blueprint(service),
        consumers.blueprint(service),
        pauses.blueprint(service),
        rollouts.blueprint(service),
        tasks.blueprint(service),
    ):
        app.register_blueprint(noun)
    queueing = Queueing(app.wsgi_app, guards, service, settings.branch)
    app.wsgi_app = paths.with_whole_segments(queueing)  # type: ignore[method-assign, assignment]
    return app
