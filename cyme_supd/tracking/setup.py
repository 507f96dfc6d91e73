"""What is done once for an application, and by itself in its workers."""

from __future__ import annotations

import logging
from typing import Any

from celery import Celery
from celery.signals import worker_init
from kombu import Connection, Queue

from cyme_supd.errors import Conflict, CymeError, Invalid, Unavailable
from cyme_supd.tracking import sentry
from cyme_supd.tracking.config import Config

log = logging.getLogger(__name__)

CHORD_UNLOCK = "celery.chord_unlock"
_JOINS = "app.config_from_object(Config(queues=[...]))"


def config_of(app: Celery) -> Config | None:
    """What *app* is configured with, if that is a :class:`Config`."""
    # Nothing is loaded before something is asked for.
    app.conf.get("task_queues")
    loaded = app.loader.conf
    found = getattr(loaded, "obj", loaded)
    return found if isinstance(found, Config) else None


def setup_app(app: Celery, throw: bool = True) -> bool:
    """Declare all queues and exchanges of *app*, and bound how long it waits for chords.

    Workers do it by themselves. What the broker has against it is raised: with
    ``throw=False`` it is logged instead, and the answer is False.
    """
    config = config_of(app)
    if config is None:
        raise Invalid(f"{app!r} has no Config", _JOINS)
    bound_chords(app, config)
    if config.SENTRY_DSN:
        sentry.start(config.SENTRY_DSN)
    try:
        declare(app)
    except CymeError as exc:
        if throw:
            raise
        log.warning("queues are not declared: %s", exc)
        return False
    return True


def bound_chords(app: Celery, config: Config) -> None:
    """Have Celery give a chord up some day whose tasks do not all end."""
    app.tasks[CHORD_UNLOCK].max_retries = config.CHORD_UNLOCK_MAX_RETRIES


def declare(app: Celery) -> None:
    """Every queue of *app*, also if the broker refuses some."""
    with app.connection_for_write() as connection:
        try:
            connection.connect()
            refused = [
                f"{queue.name}: {why}"
                for queue in app.amqp.queues.values()
                if (why := _refusal(connection, queue))
            ]
        except (*connection.connection_errors, OSError) as exc:
            raise Unavailable(f"{connection.as_uri()} is not to be had: {exc}") from exc
    if refused:
        raise Conflict(f"the broker refuses {'; '.join(refused)}", "is it declared otherwise?")


def _refusal(connection: Connection, queue: Queue) -> str:
    """What the broker has against *queue*; it closes the channel that it says so on."""
    with connection.channel() as channel:
        try:
            queue(channel).declare()
        except connection.channel_errors as exc:
            return " ".join(str(exc).split())
    return ""


@worker_init.connect(weak=False)
def begin(sender: Any, **_: Any) -> None:
    """In a worker that starts: without the broker, too, for which it will wait."""
    config = config_of(sender.app)
    if config is not None:
        leave_to_the_platform(sender.app.amqp.queues, config.PLATFORM_QUEUE_NAME)
        setup_app(sender.app, throw=False)


def leave_to_the_platform(queues: Any, name: str) -> None:
    """Have a worker not consume from the platform queue, unless ``-Q`` names it."""
    # Only -Q sets it, and only it tells a worker with -Q from one without.
    if queues._consume_from is None:
        queues.deselect(name)
    elif name in queues.consume_from:
        log.warning("this worker runs every task a second time: it consumes from %s", name)
