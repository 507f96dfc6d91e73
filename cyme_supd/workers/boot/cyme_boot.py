"""The app every worker is started with: its own one, prepared.

``celery -A cyme_boot:app worker`` imports this module, in whatever virtual
environment the app lives; so it and what lies beside it are self-contained.
``CYME_BOOT`` carries, as JSON: ``app`` (``module:name``, or null for the
bundled one), ``config`` (Celery settings), ``queues`` (full declarations, the
worker's own first), ``held`` (by name, queues that are paused: until when, in
epoch seconds, or null), ``reply_to`` (the routing key at which the branch waits to
hear that the worker is ready), ``tracked`` (where its tasks are seen), ``node`` (the
worker's name at the broker) and, for the bundled app, ``targets`` (which URLs it may request).
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import cyme_closed  # type: ignore[import-not-found]
import cyme_topology  # type: ignore[import-not-found]
import cyme_unacked  # type: ignore[import-not-found]
from celery import bootsteps, signals
from celery.app.utils import find_app
from celery.utils.log import get_logger
from celery.worker import state as work
from celery.worker.consumer.connection import Connection
from celery.worker.consumer.tasks import Tasks
from celery.worker.control import control_command, inspect_command
from kombu import Exchange, Producer, Queue

BUNDLED = "cyme_supd.workers.bundled:app"
READY = "cyme.ready"

#: A worker that waits for tasks on Redis says nothing, and would never notice that
#: its connection was lost on the way: after twenty seconds without a sign it connects
#: anew. (AMQP's client sees to that by itself.)
UNTIL_LOST = {
    "socket_connect_timeout": 4.0,
    "socket_keepalive": True,
    "socket_keepalive_options": {
        socket.TCP_KEEPIDLE: 5,
        socket.TCP_KEEPINTVL: 5,
        socket.TCP_KEEPCNT: 3,
        socket.TCP_USER_TIMEOUT: 20_000,
    },
}

logger = get_logger(__name__)
boot = json.loads(os.environ["CYME_BOOT"])
#: Queues that are not consumed from yet: paused when this worker began.
held: set[str] = {
    name for name, until in boot.get("held", {}).items() if until is None or until > time.time()
}
#: By queue: the declaration it is consumed by; the worker's own is not among
#: them, unless it was paused.
taken: dict[str, dict[str, Any]] = {
    entry["name"]: entry for entry in boot["queues"][1:] if entry["name"] not in held
}
#: By queue: the digest of the declaration that was refused, and why.
refused: dict[str, tuple[str, str]] = {}


def prepare(name: str, config: dict[str, Any]) -> Any:
    """The app called *name* with *config* over its own settings."""
    prepared = find_app(name)
    # Read once before the update: settings in the old upper-case style and
    # new ones may not be mixed while they are still being collected.
    prepared.conf.get("task_default_queue")
    prepared.conf.update(config)
    if tracked := boot.get("tracked"):
        cyme_topology.join(prepared, tracked["queues"], tracked["platform"], tracked["exchange"])
    # The branch asks on this exchange, in JSON, whatever the app's tasks use.
    prepared.conf.update(control_exchange="celery", worker_enable_remote_control=True)
    broker = os.environ.get("CELERY_BROKER_URL", "")
    if broker.startswith("redis"):
        own = prepared.conf.broker_transport_options or {}
        usual = {**cyme_unacked.options(boot["node"]), **UNTIL_LOST}
        prepared.conf.broker_transport_options = {**usual, **own}
        cyme_closed.say_so(prepared.connection_for_read().get_transport_cls().Channel)
    prepared.steps["consumer"].add(GiveBack)
    mailbox = prepared.control.mailbox
    if broker.startswith("amqp"):
        mailbox.get_queue = another_each_time(mailbox.get_queue)
    mailbox.accept = [*(mailbox.accept or ()), "json"]
    mailbox.serializer = "json"
    return prepared


def another_each_time(get_queue: Callable[[str], Queue]) -> Callable[[str], Queue]:
    """The worker's mailbox, under another name for every connection.

    One that broke on the way lives on at the broker until that has missed its
    heartbeats, and its exclusive queue with it: the worker, connected again,
    would be refused a queue of that name, and end.
    """

    def get(hostname: str) -> Queue:
        made = get_queue(hostname)
        made.name = f"{made.name}.{uuid4().hex}"
        return made

    return get


class Connections:
    """How often the worker has connected."""

    made = 0


connections = Connections()


class GiveBack(bootsteps.StartStopStep):  # type: ignore[misc]
    """Before it takes anything: what was taken and not finished goes back.

    Also after the broker was away: the worker has dropped what it had
    reserved, and what it still runs can be acknowledged no more.
    """

    requires = (Connection,)

    def start(self, consumer: Any) -> None:
        connections.made += 1
        exchanges = {each["exchange"]: each["exchange_type"] for each in boot["queues"]}
        with consumer.app.connection_for_read() as connection:
            count = cyme_unacked.give_back(connection, exchanges)
        if count:
            logger.info("%d messages that were taken before go back to their queues", count)


# Nothing else says that it has to come before the first message is taken.
Tasks.requires = (*Tasks.requires, GiveBack)


def queue(entry: dict[str, Any]) -> Queue:
    """The kombu queue behind one of ``CYME_BOOT``'s declarations."""
    return Queue.from_dict(
        entry["name"],
        exchange=entry["exchange"],
        exchange_type=entry["exchange_type"],
        routing_key=entry["routing_key"],
        **entry["options"],
    )


@signals.celeryd_init.connect(weak=False)
def declare(**_: Any) -> None:
    # Before -Q is looked at: by its bare name a queue would be bound to an
    # exchange of the same name, and nothing repairs that later.
    app.amqp.queues.add(queue(boot["queues"][0]))


def allow(connection: Any, entry: dict[str, Any]) -> bool:
    """Have the worker know a queue as one to consume from, if its broker lets it."""
    name, declared = entry["name"], queue(entry)
    try:
        try_out(connection, declared)
    except Exception as exc:
        refused[name] = (entry["digest"], " ".join(str(exc).split())[:500])
        logger.warning("cannot consume from %s: %s", name, refused[name][1])
        return False
    refused.pop(name, None)
    held.discard(name)
    taken[name] = entry
    app.amqp.queues.select_add(declared)
    return True


def try_out(connection: Any, declared: Queue) -> None:
    """Raise what the broker has against a declaration.

    Only AMQP brokers refuse; and on others a binding made here would not be
    made again where it is needed.
    """
    if connection.transport.driver_type == "amqp":
        with connection.channel() as channel:
            declared(channel).declare()


@contextmanager
def trial() -> Iterator[Any]:
    """A connection to try declarations out on.

    What is refused (a queue that is there, declared otherwise) closes the
    channel it was asked on, which on the worker's own connection is the end
    of the worker; and greenlets may not share that.
    """
    with app.connection_for_read() as connection:
        if connection.transport.driver_type == "amqp":
            # A broker that is not to be had has not refused anything.
            connection.connect()
        yield connection


class TakeQueues(bootsteps.StartStopStep):  # type: ignore[misc]
    """Has the worker take its queues whenever it has connected.

    Before the consumer of its tasks is made, and so before its mailbox: who
    asks the worker is told of all of them from its first answer on. One that
    is refused is left out; there it would keep the worker from starting.
    """

    requires = (Connection,)

    def start(self, parent: Any) -> None:
        # -Q has selected the worker's own queue whatever holds it.
        for name in held:
            app.amqp.queues.deselect(name)
        if not taken:
            return
        with trial() as connection:
            for name, entry in list(taken.items()):
                if not allow(connection, entry):
                    del taken[name]
                    app.amqp.queues.deselect(name)


Tasks.requires = (*Tasks.requires, TakeQueues)


@control_command(name="cyme_consume", visible=False)
def consume_from(state: Any, entries: list[dict[str, Any]], **_: Any) -> dict[str, Any]:
    """Consume from queues, each given with its full declaration."""
    with trial() as connection:
        for entry in entries:
            if not is_bound_otherwise(state, entry) and allow(connection, entry):
                state.consumer.call_soon(state.consumer.add_task_queue, entry["name"])
    return told(state)


def is_bound_otherwise(state: Any, entry: dict[str, Any]) -> bool:
    """Whether it consumes from that queue as it was declared before.

    Nothing binds it to another exchange then; who asks has to be told what is.
    """
    consumer = state.consumer.task_consumer
    names = {queue.name for queue in consumer.queues} if consumer else set()
    known = taken.get(entry["name"], {}).get("digest")
    return entry["name"] in names and known != entry["digest"]


@control_command(name="cyme_cancel", visible=False)
def cancel(state: Any, queues: list[str], **_: Any) -> dict[str, Any]:
    """Consume from queues no longer, and forget how they were declared."""
    for name in queues:
        refused.pop(name, None)
        state.consumer.call_soon(forget, state.consumer, name)
    return told(state)


def forget(consumer: Any, name: str) -> None:
    consumer.cancel_task_queue(name)
    app.amqp.queues.pop(name, None)
    taken.pop(name, None)


@inspect_command(name="cyme_look", visible=False)
def look(state: Any, **_: Any) -> dict[str, Any]:
    """All that the branch asks for regularly."""
    return told(state)


def told(state: Any) -> dict[str, Any]:
    """Who it is, its limits, its queues and its work."""
    scaler = state.consumer.controller.autoscaler
    consumer = state.consumer.task_consumer
    names = [queue.name for queue in consumer.queues] if consumer else []
    digests = {name: entry["digest"] for name, entry in taken.items()}
    return {
        "pid": os.getpid(),
        "autoscale": [scaler.max_concurrency, scaler.min_concurrency] if scaler else None,
        "queues": {name: digests.get(name, "") for name in names},
        "refused": {name: list(said) for name, said in refused.items()},
        **progress(state.consumer),
    }


def progress(consumer: Any) -> dict[str, Any]:
    """``started`` tasks since its start; ``active`` run, ``waiting`` it has taken too.

    ``processes`` is what its pool has; ``prefetch`` how many it takes at once,
    null for any number; ``is_narrow`` that this is fewer than it has to have.
    """
    buckets = (bucket for bucket in consumer.task_buckets.values() if bucket)
    limited = sum(len(bucket.contents) for bucket in buckets)
    active = len(work.active_requests)
    # Celery 5.6 and older keep no count of these.
    later = len(getattr(work, "scheduled_requests", ()))
    return {
        "started": sum(work.total_count.values()),
        "active": active,
        "waiting": max(0, len(work.reserved_requests) - active) + limited + later,
        "processes": int(consumer.pool.num_processes or 0) or None,
        "prefetch": prefetch_of(consumer) or None,
        "is_narrow": is_narrow(consumer),
    }


def prefetch_of(consumer: Any) -> int:
    return int(consumer.qos.value or 0) if consumer.qos else 0


def is_narrow(consumer: Any) -> bool:
    """Whether it came back from a reconnect with a prefetch that keeps its pool small.

    A pool grows when more is taken than it has processes. Where tasks are
    acknowledged late, and no more are taken than there are processes, it
    never does.
    """
    scaler, prefetch = consumer.controller.autoscaler, prefetch_of(consumer)
    if scaler is None or not prefetch or connections.made < 2:
        return False
    is_small = prefetch <= consumer.pool.num_processes < scaler.max_concurrency
    return is_small and any(task.acks_late for task in app.tasks.values())


@signals.worker_ready.connect(weak=False)
def announce(sender: Any = None, **_: Any) -> None:
    """Tell the branch, so that it need not ask every worker all the time."""
    exchange = Exchange(
        "reply.celery.pidbox", type="direct", durable=False, delivery_mode="transient"
    )
    try:
        with sender.connection.channel() as channel:
            Producer(channel, serializer="json").publish(
                {sender.hostname: {"ready": os.getpid()}},
                exchange=exchange,
                routing_key=boot["reply_to"],
                declare=[exchange],
                headers={"ticket": READY},
            )
    except Exception as exc:
        # The branch also finds out by asking; only later.
        logger.warning("could not tell the branch that this worker is ready: %r", exc)


app = prepare(boot["app"] or BUNDLED, boot["config"])
