"""At which broker a queue is."""

from __future__ import annotations

from cyme_supd.domain.naming import DIRECT_PREFIX
from cyme_supd.domain.ports import View
from cyme_supd.domain.spec import App


def broker_of_queue(view: View, app: App, queue: str, default: str) -> str:
    """The URL of the broker at which *queue* of *app* is consumed from.

    That is the app's own, or *default*; but where every instance that should
    consume from it has another broker, the one of the first of them.
    """
    usual = app.broker or default
    instance = queue.removeprefix(DIRECT_PREFIX) if queue.startswith(DIRECT_PREFIX) else None
    brokers = [
        one.broker or usual
        for one in view.instances(app.name)
        if one.name == instance or (one.is_enabled and queue in one.queues and not one.is_deleting)
    ]
    return usual if usual in brokers or not brokers else brokers[0]
