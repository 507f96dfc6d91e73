"""A program that manages branches by the SRS interface, in plain kombu."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import redis
from kombu import Connection, Consumer, Exchange, Producer, Queue

from tests.acceptance.harness import unique
from tests.support import eventually

UPDATES = Exchange("srs.instance.update", "topic", auto_delete=True)
QUERIES = Exchange("srs.agent.query-instances", "fanout", auto_delete=True)
STATISTICS = Exchange("srs.statistics", "fanout", auto_delete=True)
REPLY = Exchange("reply", "direct")


class Manager:
    """``replies`` by correlation id, ``statistics`` by branch: all that was heard up to now."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._channel = connection.channel()
        self._address = unique("manager")
        self.replies: dict[str, list[Any]] = {}
        self.statistics: dict[str, list[Any]] = {}

    @contextmanager
    def listening(self) -> Iterator[Manager]:
        address = self._address
        queues = [
            Queue(address, REPLY, routing_key=address, auto_delete=True, expires=60),
            Queue(f"{address}.statistics", STATISTICS, auto_delete=True, expires=60),
        ]
        consumer = Consumer(
            self._connection.channel(), queues, callbacks=[self._hear], no_ack=True, accept=["json"]
        )
        with consumer:
            # On Redis it is subscribed by its first look.
            self.look()
            yield self
        for queue in queues:
            queue(self._channel).declare()
            queue(self._channel).delete()

    def create(self, branch: str, said: Any, **how: Any) -> None:
        self.send(Exchange(f"srs.create.{branch}", "fanout", auto_delete=True), said, **how)

    def update(self, name: str, said: Any, **how: Any) -> None:
        self.send(UPDATES, said, routing_key=name, **how)

    def query(self) -> str:
        """Ask everybody; the correlation id of the answers."""
        id = unique("query")
        self.send(QUERIES, {}, reply_to=self._address, correlation_id=id)
        return id

    def send(self, exchange: Exchange, said: Any, **how: Any) -> None:
        producer = Producer(self._channel, serializer="json")
        producer.publish(said, exchange=exchange, declare=[exchange], retry=False, **how)

    def instances(self, branch: str) -> list[dict[str, Any]] | None:
        """What *branch* answers to a new question, if it does soon.

        Branches without instances say so, too, and not who they are.
        """
        id = self.query()
        with suppress(AssertionError):
            eventually(lambda: self.has_heard(id), 2.0, every_s=0)
        return self.of(branch, id)

    def of(self, branch: str, id: str) -> list[dict[str, Any]] | None:
        """The one answer that names *branch*."""
        found = [
            answer
            for answer in self.replies.get(id, [])
            if any(one["branch"] == branch for one in answer)
        ]
        assert len(found) <= 1
        return found[0] if found else None

    def has_heard(self, id: str) -> bool:
        self.look()
        return id in self.replies

    def look(self) -> None:
        with suppress(TimeoutError):
            self._connection.drain_events(timeout=0.1)

    def _hear(self, body: Any, message: Any) -> None:
        if message.delivery_info["exchange"] == REPLY.name:
            self.replies.setdefault(message.properties["correlation_id"], []).append(body)
            return
        for branch in body["agents"]:
            self.statistics.setdefault(branch, []).append(body)


def sent_until(check: Callable[[], Any], send: Callable[..., None], *words: Any) -> None:
    """Send the same again and again: what is sent while nobody hears is lost."""

    def is_done() -> Any:
        send(*words)
        return check()

    eventually(is_done, 20.0, every_s=0.1)


@contextmanager
def manager(url: str) -> Iterator[Manager]:
    with Connection(url) as connection, Manager(connection).listening() as manager:
        yield manager


def left_at(url: str, branch: str) -> list[str]:
    """What the broker has of the branch: names of keys, or of an exchange."""
    if url.startswith("redis"):
        with redis.Redis.from_url(url) as server:
            theirs = [key.decode() for key in server.keys(f"*srs*{branch}*")]
            tables = server.keys("_kombu.binding.srs.*")
            return theirs + [
                member.decode()
                for table in tables
                for member in server.smembers(table)
                if branch in member.decode()
            ]
    with Connection(url) as connection:
        channel = connection.channel()
        try:
            # It goes with the last of its queues.
            channel.exchange_declare(f"srs.create.{branch}", "fanout", passive=True)
        except connection.channel_errors:
            return []
        return [f"srs.create.{branch}"]
