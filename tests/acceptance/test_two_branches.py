"""Two branches that share a broker, as the first document starts them: one fleet."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.acceptance.celeryside import worker_pid
from tests.acceptance.fleets import (
    BACK_WITHIN_S,
    KNOWN_WITHIN_S,
    RABBITMQ,
    VALKEY,
    Grounds,
    all_know,
    grounds,
    kill_all_of,
)
from tests.acceptance.harness import BranchHost, unique
from tests.odd_server import OddServer, odd_server
from tests.streams import Stream
from tests.support import eventually

pytestmark = pytest.mark.timeout(120)


@dataclass(frozen=True)
class Pair:
    ground: Grounds
    one: BranchHost
    two: BranchHost

    @property
    def hosts(self) -> tuple[BranchHost, BranchHost]:
        return self.one, self.two


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((VALKEY, False), id="valkey-sqlite"),
        pytest.param((VALKEY, True), id="valkey-postgresql", marks=pytest.mark.faults),
        pytest.param((RABBITMQ, False), id="rabbitmq-sqlite", marks=pytest.mark.faults),
        pytest.param((RABBITMQ, True), id="rabbitmq-postgresql", marks=pytest.mark.faults),
    ],
)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with (
        grounds(request, *request.param) as ground,
        ground.branches("branch1", "branch2") as (one, two),
    ):
        yield Pair(ground, one, two)


@pytest.fixture(scope="module")
def target() -> Iterator[OddServer]:
    with odd_server() as server:
        yield server


@pytest.fixture
def app(pair: Pair) -> Iterator[str]:
    """Made through the one, with a queue; of each test its own."""
    name = unique("app")
    pair.one.post(f"/{name}/", 201)
    pair.one.post(f"/{name}/queues/tasks/", 201)
    yield name
    pair.one.delete(f"/{name}/", force=1)
    for host in pair.hosts:
        eventually(lambda host=host: name not in host.get("/"), KNOWN_WITHIN_S)


def make(pair: Pair, app: str) -> tuple[str, str]:
    """A worker on each, both made through the one; their names."""
    names = unique("w"), unique("w")
    for name, host in zip(names, pair.hosts, strict=True):
        path = f"/{app}/instances/{name}/"
        made = pair.one.post(path, 201, branch=host.id, queues=["tasks"])
        assert (made["branch"], made["ready"]) == (host.id, True)
    return names


def test_they_are_one_fleet(pair: Pair) -> None:
    for host in pair.hosts:
        assert host.get("/branches/") == sorted(each.id for each in pair.hosts)
        for other in pair.hosts:
            shown = host.get(f"/branches/{other.id}/")
            assert (shown["url"], shown["is_live"]) == (f"http://127.0.0.1:{other.port}", True)


def test_one_that_joins_later_knows_what_there_is_and_what_there_was(
    pair: Pair, app: str, target: OddServer
) -> None:
    gone = unique("gone")
    pair.two.post(f"/{gone}/", 201)
    pair.one.delete(f"/{gone}/")
    with pair.ground.host("branch3") as three:
        three.start()
        eventually(lambda: app in three.get("/"), KNOWN_WITHIN_S)
        eventually(lambda: three.get(f"/{app}/queues/") == ["tasks"], KNOWN_WITHIN_S)
        assert gone not in three.get("/")
        eventually(lambda: all_know([*pair.hosts, three]), KNOWN_WITHIN_S)
        # Deleted while it is away, and not brought back by it.
        away = unique("away")
        three.post(f"/{away}/", 201)
        assert away in pair.one.get("/")
        queued = three.client.get(f"/{app}/queue/tasks/{target.url('/fast')}")
        state = queued.headers["location"]
        kill_all_of(three)
        pair.two.delete(f"/{away}/")
        # Not known is not absent.
        assert three.id in pair.one.get(state, 503)["error"]["message"]
        three.start()
        eventually(lambda: pair.one.client.get(state).status_code == 200, BACK_WITHIN_S)
        assert pair.one.get(state) == {"state": "PENDING"}
        eventually(lambda: away not in three.get("/"), KNOWN_WITHIN_S)
        for host in pair.hosts:
            assert away not in host.get("/")
        # With a word to the others, who would else wait for what it may have.
        three.interrupt()
        three.wait()
    eventually(lambda: all_know(pair.hosts), KNOWN_WITHIN_S)


def test_a_queue_of_the_one_is_consumed_on_the_other(
    pair: Pair, app: str, target: OddServer
) -> None:
    name = unique("w")
    pair.two.post(f"/{app}/queues/mail/", 201, routing_key="post")
    pair.one.post(f"/{app}/instances/{name}/", 201, branch=pair.two.id)
    pair.one.post(f"/{app}/instances/{name}/queues/mail/", 201)
    for host in pair.hosts:
        (queue,) = host.get(f"/{app}/instances/{name}/queues/")
        assert (queue["name"], queue["routing_key"]) == ("mail", "post")
    path = f"/fast/{name}"
    queued = pair.one.client.post(f"/{app}/queue/mail/{target.url(path)}")
    assert queued.status_code == 202, queued.text
    waiting = queued.headers["location"].replace("/state/", "/wait/")
    said = pair.two.get(waiting, timeout=30)
    assert (said["state"], said["result"]["status_code"]) == ("SUCCESS", 200)
    assert path in target.heads


@pytest.mark.parametrize("way", ["there", "back"])
def test_any_instance_through_any_branch(pair: Pair, app: str, way: str) -> None:
    asked, owner = pair.hosts if way == "there" else pair.hosts[::-1]
    name = unique("w")
    own = f"/{app}/instances/{name}/"
    made = asked.post(own, 201, branch=owner.id, queues=["tasks"])
    assert (made["branch"], made["ready"], owner.mains(name)) == (owner.id, True, [made["pid"]])

    assert asked.post(f"{own}autoscale/", max=3, min=2) == {"max": 3, "min": 2}
    assert asked.get(f"{own}stats/")["autoscaler"]["max"] == 3
    edited = asked.post(own, max_concurrency=4)
    assert (edited["max_concurrency"], edited["restarting"]) == (4, [])
    assert asked.delete(f"{own}queues/tasks/") == {"ok": "ok"}
    assert [host.get(f"{own}queues/") for host in pair.hosts] == [[], []]
    asked.post(f"{own}queues/tasks/", 201)
    assert f"{name}@{owner.id} ready" in asked.client.get(f"{own}log/").text

    asked.post(f"{own}restart/")
    assert owner.mains(name) == [worker_pid(owner, name)] != [made["pid"]]
    asked.post(f"{own}disable/")
    assert (owner.mains(name), owner.get(own)["is_enabled"]) == ([], False)
    asked.post(f"{own}enable/")
    shown = [host.get(own) for host in pair.hosts]
    assert [each["ready"] for each in shown] == [True, True]
    assert [each["pid"] for each in shown] == owner.mains(name) * 2
    assert asked.client.post(f"{own}autoscale/", json={"max": 0}).status_code == 400

    asked.delete(own)
    assert owner.mains(name) == []
    for host in pair.hosts:
        assert host.client.get(own).status_code == 404


def test_what_is_done_to_an_app_is_done_on_both(pair: Pair, app: str) -> None:
    names = make(pair, app)
    for host in pair.hosts:
        assert host.get(f"/{app}/instances/") == sorted(names)
        assert host.get(f"/{app}/")["instances"] == sorted(names)
    before = mains(pair, names)

    pair.two.post(f"/{app}/stop/")
    eventually(lambda: mains(pair, names) == [[], []], BACK_WITHIN_S)
    pair.two.post(f"/{app}/start/")
    eventually(lambda: are_ready(pair, app, names), BACK_WITHIN_S)

    between = mains(pair, names)
    pair.one.post(f"/{app}/restart/", 202)
    eventually(lambda: pair.two.get(f"/{app}/restart/")["state"] == "done", BACK_WITHIN_S)
    assert are_ready(pair, app, names)
    after = mains(pair, names)
    for number in range(2):
        assert len({*before[number], *between[number], *after[number]}) == 3

    refused = pair.two.client.delete(f"/{app}/")
    assert refused.status_code == 409
    assert all(name in refused.text for name in names)
    pair.two.delete(f"/{app}/", force=1)
    eventually(lambda: mains(pair, names) == [[], []], BACK_WITHIN_S)
    pair.one.post(f"/{app}/", 201)


def mains(pair: Pair, names: tuple[str, str]) -> list[list[int]]:
    return [host.mains(name) for host, name in zip(pair.hosts, names, strict=True)]


def are_ready(pair: Pair, app: str, names: tuple[str, str]) -> bool:
    return all(host.is_ready(app, name) for host in pair.hosts for name in names)


def test_a_change_there_is_heard_here(pair: Pair, app: str) -> None:
    """What is asked for, and what happens on the other's host."""
    _, there = make(pair, app)
    told = {"kind": "instance", "app": app, "name": there}
    with Stream(pair.one.client, "/api/events/") as stream:

        def is_told(since: int) -> bool:
            return any(json.loads(each.data) == told for each in stream.events[since:])

        eventually(lambda: len(stream.events) > 0)
        for happen in (
            lambda: pair.two.post(f"/{app}/instances/!/{there}/autoscale/", 202, max=2),
            lambda: os.kill(pair.two.pid(there), signal.SIGKILL),
        ):
            eventually(lambda: pair.two.is_ready(app, there), BACK_WITHIN_S)
            since = len(stream.events)
            happen()
            eventually(lambda since=since: is_told(since))
    # The log of that one is over there, and so says whoever is asked.
    refused = pair.one.get(f"/{app}/instances/{there}/log/", 501, follow=1)["error"]
    place = f"/{app}/instances/{there}/log/?follow=1"
    assert refused["hint"] == f"GET http://127.0.0.1:{pair.two.port}{place}"
