"""The tasks of applications that are tracked, at their brokers: sent again, and revoked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from kombu import Connection, Exchange, Producer
from kombu.pidbox import Mailbox

from cyme_supd.brokers import bounded, connections
from cyme_supd.domain.taskagain import Again
from cyme_supd.domain.tracking import Place
from cyme_supd.errors import Conflict, Unavailable
from cyme_supd.workers.boot import cyme_topology


class KombuTaskBroker:
    """The port ``TaskBroker``: a connection for each call, since these are few."""

    def send_again(self, place: Place, letters: Sequence[Again]) -> int:
        sent = 0
        with _connected(place.broker) as connection:
            try:
                producer = _producer(connection, place, letters)
                for letter in letters:
                    _publish(producer, letter)
                    sent += 1
            except connections.broken(connection) as exc:
                if getattr(exc, "reply_code", None) == _IS_DECLARED_OTHERWISE:
                    raise Conflict(
                        f"the broker has {place.exchange!r} or {place.queue!r} otherwise: {exc}",
                        "see what tracking declares in GET /<app>/tracking/",
                    ) from exc
                if not sent:
                    raise Unavailable(f"the broker does not take it: {exc}", "ask again") from exc
        return sent

    def revoke(self, place: Place, id: str, terminate: bool) -> None:
        with _connected(place.broker) as connection:
            told = {"task_id": id, "terminate": terminate}
            try:
                Mailbox(_CONTROL, type="fanout")(connection).abcast("revoke", told)
            except connections.broken(connection) as exc:
                raise Unavailable(f"the workers cannot be told: {exc}", "ask again") from exc


#: Celery's remote control, unless an application calls its exchange otherwise.
_CONTROL = "celery"
#: AMQP's code for what is there with other properties.
_IS_DECLARED_OTHERWISE = 406


@contextmanager
def _connected(broker: str) -> Iterator[Connection]:
    # Each message is with RabbitMQ before the next one is sent.
    connection = (
        connections.connection(broker)
        if broker.startswith("redis")
        else connections.connection(broker, confirm_publish=True)
    )
    try:
        try:
            bounded.connect(connection)
        except connections.broken(connection) as exc:
            raise Unavailable(f"the broker is not to be had: {exc}", "ask again") from exc
        yield connection
    finally:
        bounded.let_go(connection)


def _producer(connection: Connection, place: Place, letters: Sequence[Again]) -> Producer:
    channel = connection.default_channel
    # On Redis an exchange and its bindings are there for who has declared them, and may be
    # lost with what was stored. RabbitMQ keeps them, and queues may be declared otherwise.
    is_amqp = connection.transport.driver_type == "amqp"
    keys = () if is_amqp else dict.fromkeys(letter.routing_key for letter in letters)
    # What nobody would record would be lost without a trace where no worker has come up yet.
    for queue in cyme_topology.queues(keys, place.queue, place.exchange):
        queue(channel).declare()
    cyme_topology.keep_bindings(channel)
    return Producer(channel, exchange=Exchange(place.exchange, type="topic"))


def _publish(producer: Producer, letter: Again) -> None:
    producer.publish(
        letter.body,
        routing_key=letter.routing_key,
        headers=dict(letter.headers),
        content_type="application/json",
        content_encoding=letter.encoding,
        correlation_id=letter.id,
        priority=letter.priority or 0,
        delivery_mode=2,
        retry=False,
    )
