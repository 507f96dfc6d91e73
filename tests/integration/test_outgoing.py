"""What is put into queues of RabbitMQ is there, or it is said what is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kombu import Connection

from cyme_supd.errors import Unavailable
from cyme_supd.workers.confirms import Refused
from cyme_supd.workers.outgoing import Message, NoRoute, Outgoing
from tests.acceptance.harness import unique


@pytest.fixture
def queue(rabbitmq_url: str) -> Iterator[str]:
    """One that keeps three messages and refuses more."""
    name = unique("outgoing")
    with Connection(rabbitmq_url) as connection:
        channel = connection.default_channel
        limits = {"x-max-length": 3, "x-overflow": "reject-publish"}
        channel.queue_declare(name, durable=True, auto_delete=False, arguments=limits)
        yield name
        channel.queue_delete(name)


@pytest.fixture
def outgoing(rabbitmq_url: str) -> Iterator[Outgoing]:
    made = Outgoing(rabbitmq_url, 5.0)
    yield made
    made.close()


def depth(url: str, name: str) -> int:
    with Connection(url) as connection:
        return int(connection.default_channel.queue_declare(name, passive=True).message_count)


def letters(name: str, *ids: str) -> list[tuple[str, Message]]:
    return [(name, Message(id, b"{}")) for id in ids]


def test_which_queues_are_not_there(rabbitmq_url: str, queue: str, outgoing: Outgoing) -> None:
    gone = unique("gone")
    assert outgoing.put_each([*letters(queue, "a"), *letters(gone, "b"), *letters(queue, "c")]) == {
        gone
    }
    assert depth(rabbitmq_url, queue) == 2
    with pytest.raises(NoRoute):
        outgoing.put(gone, [Message("d", b"{}")])
    assert outgoing.put_each(letters(queue, "e")) == set()
    assert depth(rabbitmq_url, queue) == 3


def test_what_a_queue_refuses_is_not_put(rabbitmq_url: str, queue: str, outgoing: Outgoing) -> None:
    with Connection(rabbitmq_url) as connection:
        other, gone = unique("other"), unique("gone")
        connection.default_channel.queue_declare(other, auto_delete=False)
        with pytest.raises(Refused, match="refuses") as raised:
            outgoing.put_each(
                [*letters(queue, *"abcde"), *letters(gone, "f"), *letters(other, "g")]
            )
        assert (raised.value.queues, raised.value.missing) == ({queue}, {gone})
        assert (depth(rabbitmq_url, queue), depth(rabbitmq_url, other)) == (3, 1)
        connection.default_channel.queue_delete(other)
    with pytest.raises(Unavailable, match="refuses"):
        outgoing.put(queue, [Message("f", b"{}")])


def test_of_many_each_is_there(rabbitmq_url: str, outgoing: Outgoing) -> None:
    name = unique("outgoing")
    with Connection(rabbitmq_url) as connection:
        connection.default_channel.queue_declare(name, durable=True, auto_delete=False)
        try:
            assert outgoing.put_each(letters(name, *map(str, range(2000)))) == set()
            assert depth(rabbitmq_url, name) == 2000
        finally:
            connection.default_channel.queue_delete(name)


def test_one_in_use_when_all_are_closed_is_closed_after_it(
    queue: str, outgoing: Outgoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[Connection] = []
    publish = outgoing._publish

    def closed_meanwhile(kept: Any, letters: Any) -> set[str]:
        used.append(kept.connection)
        outgoing.close()
        return publish(kept, letters)

    monkeypatch.setattr(outgoing, "_publish", closed_meanwhile)
    outgoing.put_each(letters(queue, "a"))
    (connection,) = used
    assert not connection.connected
