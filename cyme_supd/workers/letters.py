"""What a worker's main process writes to branches: how tasks ended, several to a letter.

A letter is one message to one branch's queue of results. Its tasks are
acknowledged when the broker keeps it: on Redis by the same step, on AMQP
brokers when they confirm it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

from cyme_supd.workers import taking
from cyme_supd.workers.outgoing import JSON, Message, prepared_for

#: Of the reports in one letter, in bytes; a longer one has a letter of its own.
LETTER_SIZE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Told:
    """What the task returned, and what is to be put into which queue about it."""

    returned: Any
    queue: str
    report: Message


class Ended(Protocol):
    """A task as Celery's worker knows it, that may have been told of."""

    id: str
    told: Told | None
    _message: Any

    def acknowledge_now(self) -> None:
        """Tell the broker that it is done with."""

    def is_acknowledged(self) -> None:
        """The broker knows already."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One message about several tasks, to one queue."""

    queue: str
    requests: tuple[Ended, ...]

    @property
    def message(self) -> Message:
        """Known by the first of the tasks: it ends but once."""
        reports = [request.told.report for request in self.requests if request.told]
        if len(reports) == 1:
            return reports[0]
        return Message(reports[0].id, b"[" + b",".join(each.body for each in reports) + b"]")


def letters(requests: Iterable[Ended]) -> list[Letter]:
    """What to send about *requests*, which come in the order they ended."""
    found = []
    for queue, group in _by_queue(requests).items():
        some: list[Ended] = []
        size = 0
        for request, length in group:
            if some and size + length > LETTER_SIZE:
                found.append(Letter(queue, tuple(some)))
                some, size = [], 0
            some.append(request)
            size += length
        found.append(Letter(queue, tuple(some)))
    return found


def _by_queue(requests: Iterable[Ended]) -> dict[str, list[tuple[Ended, int]]]:
    """The requests for each queue, with the lengths of their reports."""
    groups: dict[str, list[tuple[Ended, int]]] = {}
    for request in requests:
        if request.told is not None:
            length = len(request.told.report.body)
            groups.setdefault(request.told.queue, []).append((request, length))
    return groups


class RedisPost:
    """Puts each letter and forgets its tasks in one step."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer

    def put(self, letters: Iterable[Letter]) -> None:
        channel: taking.Channel = self._consumer.task_consumer.channel
        for letter in letters:
            tags = [request._message.delivery_tag for request in letter.requests]
            channel.settle(letter.queue, prepared_for(channel, letter.message), tags)
            for request in letter.requests:
                request.is_acknowledged()

    def unkept(self) -> list[Ended]:
        return []

    def wait(self, timeout_s: float) -> None:
        """Nothing is under way."""


class AmqpPost:
    """Puts letters on a channel of its own, and acknowledges tasks as those are confirmed."""

    def __init__(self, consumer: Any, settle: Callable[[Ended], None]) -> None:
        self._connection = consumer.connection
        self._settle = settle
        self._channel = consumer.connection.channel()
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(self._on_nack)
        self._channel.events["basic_return"].add(self._on_return)
        self._declared: set[str] = set()
        self._unconfirmed: dict[int, Letter] = {}
        self._count = 0
        self._returned: set[str] = set()

    def put(self, letters: Iterable[Letter]) -> None:
        for letter in letters:
            if letter.queue not in self._declared:
                # The branch has perhaps not been there yet. Not waited for: on
                # one channel the broker takes things in their order.
                self._channel.queue_declare(
                    letter.queue, durable=True, auto_delete=False, nowait=True
                )
                self._declared.add(letter.queue)
            self._publish(letter.queue, letter.message)
            self._unconfirmed[self._count] = letter

    def unkept(self) -> list[Ended]:
        return [each for letter in self._unconfirmed.values() for each in letter.requests]

    def wait(self, timeout_s: float) -> None:
        deadline = monotonic() + timeout_s
        while self._unconfirmed:
            left = deadline - monotonic()
            self._connection.drain_events(timeout=max(0.001, left))

    def _publish(self, queue: str, report: Message) -> None:
        message = self._channel.prepare_message(
            report.body.decode(),
            content_type=JSON,
            content_encoding="utf-8",
            properties={"delivery_mode": 2, "correlation_id": report.id},
        )
        self._count += 1
        self._channel.basic_publish(message, exchange="", routing_key=queue, mandatory=True)

    def _on_ack(self, tag: int, is_multiple: bool) -> None:
        for letter in self._confirmed(tag, is_multiple):
            id = letter.requests[0].id
            is_kept = id not in self._returned
            self._returned.discard(id)
            for request in letter.requests:
                if is_kept:
                    request.acknowledge_now()
                else:
                    self._settle(request)

    def _on_nack(self, tag: int, is_multiple: bool) -> None:
        for letter in self._confirmed(tag, is_multiple):
            for request in letter.requests:
                self._settle(request)

    def _on_return(self, exc: Exception, exchange: str, queue: str, message: Any) -> None:
        # The queue has gone since: it is declared again with the next letter.
        self._declared.discard(queue)
        self._returned.add(message.properties.get("correlation_id", ""))

    def _confirmed(self, tag: int, is_multiple: bool) -> list[Letter]:
        if not is_multiple:
            found = [tag] if tag in self._unconfirmed else []
        else:
            found = [each for each in self._unconfirmed if each <= tag]
        return [self._unconfirmed.pop(each) for each in found]
