"""Which broker a queue is at."""

from __future__ import annotations

from collections.abc import Iterable

from cyme_supd.domain.naming import direct_queue
from cyme_supd.domain.ports import View
from cyme_supd.domain.spec import App, Instance
from cyme_supd.service.observed import ThisBranch, assemble


def broker_of_queue(view: View, app: App, queue: str, here: ThisBranch) -> str:
    """The URL of the broker to look for *queue* at, and to send to it.

    The app's; but where all that should consume from it do so at one other
    broker, that one: at the app's nobody would ever take a message from it.
    """
    return broker_among(view.instances(app.name), app, queue, here)


def broker_among(instances: Iterable[Instance], app: App, queue: str, here: ThisBranch) -> str:
    """The same, for who has the app's instances at hand."""
    used = {assemble(one, app, here).broker for one in instances if should_consume(one, queue)}
    return used.pop() if len(used) == 1 else app.broker or here.broker


def consumers_of(view: View, app: str, queue: str) -> list[Instance]:
    """Those whose workers should run and consume from it."""
    return [one for one in view.instances(app) if should_consume(one, queue)]


def should_consume(instance: Instance, queue: str) -> bool:
    is_theirs = queue in (*instance.queues, direct_queue(instance.name))
    return is_theirs and instance.is_enabled and not instance.is_deleting
