"""The SRS interface at real brokers, over a service without workers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest
import redis
from kombu import Connection, Producer

from cyme_supd.brokers import reconnecting
from cyme_supd.brokers.connections import connection
from cyme_supd.clock import SystemClock
from cyme_supd.errors import Unavailable
from cyme_supd.service import Service
from cyme_supd.srs import agent as agents
from cyme_supd.srs import exchanges
from cyme_supd.srs.agent import LISTENER, TELLER, Agent
from cyme_supd.srs.desk import APP, Desk
from cyme_supd.srs.messages import Creation
from tests.acceptance.harness import unique
from tests.integration.test_remote_outages import frozen
from tests.relay import relayed
from tests.srs import QUERIES, Manager, left_at, manager, sent_until
from tests.support import eventually
from tests.unit.service_support import HERE, world

HOST = {"load_average": [0.0, 0.0, 0.0], "disk_use": 1.0}


class Branch:
    """The interface of a branch that has a store, and nobody who acts on it."""

    def __init__(self, url: str, id: str | None = None) -> None:
        self.url = url
        self.id = id or unique("b")
        self.service: Service = world(replace(HERE, id=self.id)).service
        self.desk = Desk(self.service, SystemClock(), lambda: HOST)
        self.beats: list[str] = []
        self.agent = Agent(url, self.desk, SystemClock(), self.beats.append)

    def names(self) -> list[str]:
        return [one["name"] for one in self.desk.instances()]

    def is_enabled(self, name: str) -> bool:
        return self.service.instances.get(APP, name).instance.is_enabled

    def is_heard(self, by: Manager) -> bool:
        """Whether what *by* sends now arrives: until it does, Redis drops it."""
        by.create(self.id, {"id": "probe"})
        return "probe" in self.names()

    @contextmanager
    def running(self) -> Iterator[Branch]:
        before = set(threading.enumerate())
        self.agent.start()
        try:
            yield self
        finally:
            self.agent.stop()
            eventually(lambda: not set(threading.enumerate()) - before, 30)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "DRAIN_S", 0.2)
    monkeypatch.setattr(reconnecting, "BACKOFF_S", (0.1, 0.3))
    monkeypatch.setattr(agents, "STATISTICS_EVERY_S", 0.5)
    monkeypatch.setattr(agents, "NOTICE_S", 0.5)


@pytest.fixture(params=["valkey", "rabbitmq"])
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
def by(url: str) -> Iterator[Manager]:
    with manager(url) as by:
        yield by


@pytest.fixture
def branch(url: str, by: Manager) -> Iterator[Branch]:
    with Branch(url).running() as branch:
        eventually(lambda: branch.is_heard(by))
        yield branch


def test_what_it_is_asked_for(branch: Branch, by: Manager) -> None:
    by.create(branch.id, {"id": "w1", "hostname": "h", "userid": "u", "password": "p"})
    eventually(lambda: "w1" in branch.names())
    (found,) = [one for one in eventually(lambda: by.instances(branch.id)) if one["name"] == "w1"]
    assert found["broker"]["url"] == "amqp://u:********@h:5672//"
    by.update("w1", {"state": "stopping"})
    eventually(lambda: not branch.is_enabled("w1"))
    by.update("w1", {"state": "deleting"})
    eventually(lambda: branch.names() == ["probe"])


def test_statistics_for_whoever_listens(branch: Branch, by: Manager) -> None:
    def counts() -> list[int]:
        by.look()
        told = by.statistics.get(branch.id)
        return told[-1]["agents"][branch.id]["instances"][1:] if told else []

    eventually(lambda: counts() == [1, 1])


def test_a_bad_message_is_dropped_and_said_why(
    branch: Branch, by: Manager, caplog: pytest.LogCaptureFixture
) -> None:
    def complaints() -> list[str]:
        return [record.getMessage() for record in caplog.records if "dropped" in record.message]

    bad: list[tuple[Any, dict[str, Any], str]] = [
        ("{", {"serializer": None, "content_type": "application/json"}, "not readable"),
        (b"\x80\x04N.", {"serializer": None, "content_type": "application/x-python"}, "type"),
        ([1], {}, "no JSON object"),
        ({"id": "w 1"}, {}, "not a name"),
        ({"id": "w1", "headers": {}}, {"headers": {"compression": "nonsense"}}, ""),
    ]
    with caplog.at_level(logging.WARNING):
        for said, how, _ in bad:
            by.create(branch.id, said, **{"serializer": "json", **how})
        by.update("probe", {"state": "sleeping"})
        by.send(QUERIES, {})
        eventually(lambda: len(complaints()) == len(bad) + 2)
    for _, _, why in bad:
        assert any(why in line for line in complaints())
    assert any("is no state" in line for line in complaints())
    assert any("reply_to" in line for line in complaints())
    assert branch.is_enabled("probe")
    by.create(branch.id, {"id": "w1"})
    eventually(lambda: "w1" in branch.names())


def test_two_branches(url: str, branch: Branch, by: Manager) -> None:
    with Branch(url).running() as other:
        by.create(branch.id, {"id": "w1"})
        eventually(lambda: "w1" in branch.names())
        by.update("w1", {"state": "stopping"})
        eventually(lambda: not branch.is_enabled("w1"))
        assert other.names() == []
        # One answer names it: of(...) refuses two.
        eventually(lambda: by.instances(branch.id))


def test_nothing_is_left(url: str, by: Manager) -> None:
    with Branch(url).running() as branch:
        eventually(lambda: branch.is_heard(by))
        assert left_at(url, branch.id)
    eventually(lambda: left_at(url, branch.id) == [])


def test_one_that_was_killed_is_cleared_away_by_others(valkey_url: str) -> None:
    killed, other = Branch(valkey_url), Branch(valkey_url)
    with connection(valkey_url) as conn, conn.channel() as channel:
        for queue in exchanges.queues(conn, killed.id):
            queue(channel).declare()
        exchanges.keep(conn, killed.id)
        assert left_at(valkey_url, killed.id)
        with redis.Redis.from_url(valkey_url) as server, other.running():
            eventually(lambda: left_at(valkey_url, other.id))
            # Nobody says any more that it lives.
            server.delete(f"srs.lives.{killed.id}")
            with connection(valkey_url).ensure_connection() as mine:
                exchanges.keep(mine, other.id)
            theirs = left_at(valkey_url, killed.id)
            assert not [each for each in theirs if "update" in each]
            assert left_at(valkey_url, other.id)


def test_one_that_was_killed_leaves_nothing_when_it_was_back(valkey_url: str) -> None:
    branch = Branch(valkey_url)
    with connection(valkey_url) as conn, conn.channel() as channel:
        for queue in exchanges.queues(conn, branch.id):
            queue(channel).declare()
        exchanges.keep(conn, branch.id)
    with branch.running():
        eventually(lambda: branch.beats)
    eventually(lambda: left_at(valkey_url, branch.id) == [])


def test_a_broker_that_goes_away_and_comes_back(url: str, by: Manager) -> None:
    with ExitStack() as stack:
        relay, through = stack.enter_context(relayed(url))
        branch = stack.enter_context(Branch(through).running())
        eventually(lambda: branch.is_heard(by))
        relay.cut()
        branch.beats.clear()
        eventually(lambda: branch.beats.count(LISTENER) > 2)
        relay.mend()
        sent_until(lambda: not branch.names(), by.update, "probe", {"state": "deleting"})


def test_a_broker_that_hangs(valkey_url: str) -> None:
    with manager(valkey_url) as by, Branch(valkey_url).running() as branch:
        eventually(lambda: branch.is_heard(by))
        with frozen(valkey_url):
            branch.beats.clear()
            eventually(lambda: {LISTENER, TELLER} <= set(branch.beats), 30)
        sent_until(lambda: "w1" in branch.names(), by.create, branch.id, {"id": "w1"})


def test_exchanges_that_somebody_declared_otherwise(rabbitmq_url: str) -> None:
    branch = Branch(rabbitmq_url)
    name = exchanges.create_exchange(branch.id).name
    with Connection(rabbitmq_url) as conn, conn.channel() as channel:
        channel.exchange_declare(name, "fanout", durable=False, auto_delete=False)
        try:
            with branch.running():
                producer = Producer(channel, serializer="json")
                eventually(lambda: producer.publish({"id": "w1"}, exchange=name) or branch.names())
        finally:
            channel.exchange_delete(name)


def test_what_the_store_cannot_take_is_tried_again(
    branch: Branch, by: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "RETRIES_S", (0.01, 0.01))
    create, calls = branch.desk.create, []

    def failing(wanted: Creation) -> None:
        # Some that asked whether it hears may be on their way.
        if wanted.name == "probe":
            return
        calls.append(wanted)
        if len(calls) < 3 or wanted.name == "w1":
            raise Unavailable("the store is locked")
        create(wanted)

    monkeypatch.setattr(branch.desk, "create", failing)
    by.create(branch.id, {"id": "w2"})
    eventually(lambda: "w2" in branch.names())
    by.create(branch.id, {"id": "w1"})
    eventually(lambda: len(calls) == 6)
    assert "w1" not in branch.names()
