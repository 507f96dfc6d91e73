"""Where tasks of an application that is tracked go: their queue, and the platform queue.

Self-contained: workers import it in their own virtual environments.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable
from functools import partial
from typing import Any

from kombu import Exchange, Queue
from kombu.common import maybe_declare
from kombu.transport import virtual


class WorkQueue(Queue):  # type: ignore[misc]
    """A queue whose declaration brings the platform queue's with it.

    Publishers declare only the queue that they publish to, workers only those that
    they consume from: none would see to the platform queue, which must be there
    before the first message is.
    """

    attrs = (*Queue.attrs, ("platform", None))
    platform: Queue | None

    def when_bound(self) -> None:
        super().when_bound()
        keep_bindings(self.channel)

    def declare(self, nowait: bool = False, channel: Any = None) -> str:
        name: str = super().declare(nowait=nowait, channel=channel)
        if self.platform is not None and not self.no_declare:
            maybe_declare(self.platform, channel or self.channel)
        return name

    def as_dict(self, recurse: bool = False) -> dict[str, Any]:
        """With *recurse* as others are told of it, to whom it is a queue like any."""
        found: dict[str, Any] = super().as_dict(recurse)
        if recurse:
            del found["platform"]
        return found


def keep_bindings(channel: Any) -> None:
    """Have *channel* go by what was bound on it also when its broker has lost that.

    On Redis bindings are data, gone when it comes back empty. kombu makes none twice,
    and drops what is published where it finds none.
    """
    is_virtual = isinstance(channel, virtual.Channel)
    if not is_virtual or type(channel).get_table is virtual.Channel.get_table:
        return
    if "get_table" in vars(channel):
        return
    stored = channel.get_table

    def get_table(exchange: str) -> list[Any]:
        own = channel.state.exchanges.get(exchange, {}).get("table", ())
        return [*stored(exchange), *own]

    channel.get_table = get_table


def work_queue(topic: Exchange, everything: Queue, name: str) -> WorkQueue:
    return WorkQueue(name, topic, routing_key=name, platform=everything)


def queues(names: Iterable[str], platform: str, exchange: str) -> list[Queue]:
    """Each bound to the topic exchange by its name, and the platform queue by ``#``."""
    topic = Exchange(exchange, type="topic")
    everything = Queue(platform, topic, routing_key="#")
    return [*(work_queue(topic, everything, name) for name in names), everything]


def routes(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """``mail.send.now`` to ``mail``, and so the task that is named just ``mail``."""
    # With a dot in it a name is no first part.
    firsts = [name for name in names if "." not in name]
    return {
        pattern: {"queue": name} for name in firsts for pattern in (f"{glob.escape(name)}.*", name)
    }


def join(app: Any, names: Iterable[str], platform: str, exchange: str) -> None:
    """Have *app* publish where it is seen, unless it does so by a line of its own.

    Queues that it names itself it has on the same exchange, and those that it makes up.
    """
    if app.conf.get("PLATFORM_QUEUE_NAME"):
        return
    default = app.conf.task_default_queue
    declared = app.conf.task_queues or ()
    own = [each if isinstance(each, str) else each.name for each in declared]
    made = queues(dict.fromkeys((default, *own, *names)), platform, exchange)
    app.conf.update(
        task_queues=made,
        task_default_exchange=exchange,
        task_default_exchange_type="topic",
        task_default_routing_key=default,
        task_track_started=True,
    )
    app.amqp.queues.new_missing = partial(work_queue, Exchange(exchange, type="topic"), made[-1])
    # A worker names those that it consumes from: without that it would take these, too.
    app.amqp.queues.deselect(platform)
