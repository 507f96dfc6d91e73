"""What workers say themselves, over Celery's remote control, and the broker's own things."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from amqp.exceptions import AMQPError
from celery import Celery
from kombu import Connection, Exchange, Queue, pools
from kombu.exceptions import KombuError
from kombu.transport import virtual

from cyme_supd.domain.broker import parse_broker
from docs.tour.place import Wrong

ANSWER_S = 5.0
#: How long those who should be silent are listened for.
SILENCE_S = 0.5
#: The tour's queue, by the name that the tour's text has.
QUEUE = Queue("tasks", Exchange("tasks"), routing_key="tasks")
_FAILURES = (OSError, KombuError, AMQPError)


@dataclass(frozen=True)
class Own:
    """A worker's own words."""

    pid: int
    queues: tuple[str, ...]
    max: int
    min: int


class Workers:
    """Those of *branch* that can be reached over *broker*."""

    def __init__(self, broker: str, branch: str) -> None:
        self._broker = broker
        self._branch = branch

    def ask(self, name: str) -> Own | None:
        """What the worker of this name says; ``None`` when it is silent."""
        node = f"{name}@{self._branch}"
        with _asking(self._broker) as app:
            inspect = app.control.inspect([node], timeout=ANSWER_S)
            stats = (inspect.stats() or {}).get(node)
            queues = (inspect.active_queues() or {}).get(node)
        if not stats or queues is None:
            return None
        limits = stats["autoscaler"]
        names = tuple(sorted(queue["name"] for queue in queues))
        return Own(stats["pid"], names, limits["max"], limits["min"])

    def anybody(self) -> list[str]:
        """Node names of all of the branch's workers that answer."""
        with _asking(self._broker) as app:
            inspect = app.control.inspect(
                pattern=f"*@{self._branch}", matcher="glob", timeout=SILENCE_S
            )
            return sorted(inspect.ping() or {})


@contextmanager
def _asking(broker: str) -> Iterator[Celery]:
    app = Celery("tour", broker=broker, set_as_current=False)
    app.conf.update(broker_connection_timeout=4, broker_connection_retry=False)
    try:
        yield app
    except _FAILURES as exc:
        raise Wrong(f"{masked(broker)} does not answer: {exc}") from None
    finally:
        app.close()
        # kombu keeps connections for the next who asks; by then the broker
        # may be another process.
        pools.reset()


@contextmanager
def borrowed(broker: str, branch: str) -> Iterator[None]:
    """A broker that somebody else keeps, and that the tour leaves as it found it.

    Raises ``Wrong`` where it cannot be reached, or has a queue ``tasks`` of its own.
    """
    try:
        with _channel(broker) as channel:
            is_taken = _has_queue(channel, QUEUE.name)
    except _FAILURES as exc:
        raise Wrong(f"{masked(broker)} cannot be reached: {exc}") from None
    if is_taken:
        raise Wrong(
            f"{masked(broker)} has a queue {QUEUE.name!r} already: name a virtual host or a "
            "database that is the tour's own"
        )
    try:
        yield
    finally:
        with suppress(*_FAILURES):
            _sweep(broker, branch)


def masked(broker: str) -> str:
    """The URL as it may be shown."""
    return parse_broker(broker).masked_url


def _has_queue(channel: Any, name: str) -> bool:
    try:
        channel.queue_declare(name, passive=True)
    except channel.connection.client.channel_errors:
        return False
    return True


def _sweep(broker: str, branch: str) -> None:
    with _channel(broker) as channel:
        bound = QUEUE(channel)
        # Of a queue that it has not declared itself, kombu's Redis forgets no binding.
        bound.declare()
        bound.delete()
        if not isinstance(channel, virtual.Channel):
            channel.exchange_delete(QUEUE.exchange.name)
        channel.queue_delete(f"cyme.results.{branch}")


@contextmanager
def _channel(broker: str) -> Iterator[Any]:
    with Connection(broker, connect_timeout=4) as connection:
        connection.ensure_connection(max_retries=1, timeout=8)
        yield connection.channel()
