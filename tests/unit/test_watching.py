"""What changes, told to whoever listens: noticed once for all, and missed by nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from cyme_supd.domain.changes import ALL, MOST_TOLD, REMEMBERED, RUNS, Change, Journal
from cyme_supd.domain.job import Job, Run, RunEvent, run_id
from cyme_supd.domain.status import Status
from cyme_supd.errors import Unavailable
from cyme_supd.service import Watching
from cyme_supd.service.watching import ASK_S, LOOK_S, WATCH
from cyme_supd.testing.mailbox import MemoryFleet
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.fleet_support import heartbeat
from tests.unit.service_support import (
    HERE,
    START,
    PlayedClock,
    World,
    declare,
    later,
    put,
    world,
)

W1 = Change("instance", "foo", "w1")


class Listener:
    """What is told from now on."""

    def __init__(self, house: World) -> None:
        self._house = house
        self._watching: Watching = house.service.watching
        self.place, told = self._watching.since()
        assert told == [Change(ALL)]
        self.told()

    def told(self) -> list[Change]:
        self._house.clock.sleep(max(LOOK_S, ASK_S))
        self.place, told = self._watching.since(self.place)
        return told


@pytest.fixture
def running(house: World) -> World:
    declare(house, "tasks")
    put(house, queues=["tasks"])
    return house


def test_nothing_is_told_where_nothing_changes(running: World) -> None:
    listener = Listener(running)
    before = running.store.version()
    for _ in range(5):
        assert listener.told() == []
    # The branch has made its passes all the same.
    assert running.store.version() > before


def happen(house: World, *runs: Run) -> None:
    with house.store.writing() as tx:
        tx.add_run_events([RunEvent(each.id, START, "starting") for each in runs])


def test_what_happens_to_runs_is_told_by_their_jobs(house: World) -> None:
    jobs = [Job("example", str(number), "@daily", START) for number in range(50)]
    runs = [
        Run(run_id(job.id, START), job.id, "example", job.name, START, "queued", START)
        for job in jobs
    ]
    with house.store.writing() as tx:
        tx.add_runs(runs)
    listener = Listener(house)
    assert listener.told() == []
    happen(house, runs[0])
    assert listener.told() == [Change(RUNS, "", jobs[0].id)]
    happen(house, runs[1], runs[0], runs[1])
    assert listener.told() == [Change(RUNS, "", jobs[1].id), Change(RUNS, "", jobs[0].id)]
    happen(house, *runs)
    # Of many it is just said that there is something.
    assert listener.told() == [Change(RUNS)]
    assert listener.told() == []


def test_what_is_asked_for(running: World) -> None:
    listener = Listener(running)
    put(running, "w2")
    assert Change("instance", "foo", "w2") in listener.told()
    running.service.queues.put("foo", "others", {})
    assert listener.told() == [Change("queue", "foo", "others")]
    running.service.apps.put("foo", {"directory": "/srv"})
    assert Change("app", "foo", "foo") in listener.told()
    running.service.instances.delete("foo", "w2", False, 5)
    assert Change("instance", "foo", "w2") in listener.told()


def test_what_is_seen(running: World) -> None:
    listener = Listener(running)
    running.clock.listeners.clear()
    with running.store.writing() as tx:
        status = tx.status("w1")
        assert status is not None
        tx.save_statuses([replace(status, pid=4712)])
    assert listener.told() == [W1]
    assert listener.told() == []


def test_one_look_is_for_all(running: World) -> None:
    looks = 0
    version = running.store.version

    def counting() -> int:
        nonlocal looks
        looks += 1
        return version()

    listeners = [Listener(running) for _ in range(3)]
    running.store.version = counting
    running.service.queues.put("foo", "others", {})
    running.clock.sleep(LOOK_S)
    told = [running.service.watching.since(each.place)[1] for each in listeners]
    assert told == [[Change("queue", "foo", "others")]] * 3
    assert looks == 1


def test_a_store_that_is_away_and_back(running: World) -> None:
    listener = Listener(running)
    running.clock.listeners.clear()
    running.store.failure = Unavailable("the database is locked")
    assert listener.told() == [Change(ALL)]
    assert listener.told() == []
    running.store.failure = None
    listener.told()
    running.service.queues.put("foo", "others", {})
    assert listener.told() == [Change("queue", "foo", "others")]


def test_very_many_are_told_as_one(running: World) -> None:
    listener = Listener(running)
    for number in range(MOST_TOLD + 1):
        running.service.queues.put("foo", f"q{number}", {})
    assert listener.told() == [Change(ALL)]


def test_whoever_comes_back_misses_nothing() -> None:
    journal = Journal("here")
    journal.add([W1])
    place = journal.end
    journal.add([Change("app", "foo", "foo")])
    assert journal.after(place) == [Change("app", "foo", "foo")]
    assert journal.after(journal.end) == []
    for nowhere in ("", "here-", "here-x", "here-9", "there-1", "here-\u00b2", "-1"):
        assert journal.after(nowhere) == [Change(ALL)]
    for _ in range(REMEMBERED):
        journal.add([W1])
    assert journal.after(place) == [Change(ALL)]


# The other branches


@pytest.fixture
def two() -> tuple[World, World]:
    """Two branches with a store each."""
    clock = PlayedClock()
    fleet = MemoryFleet(clock)
    here = world(fleet=fleet, clock=clock)
    there = world(replace(HERE, id="b2"), fleet=fleet, clock=clock)
    for id, house in (("b1", here), ("b2", there)):
        fleet.join(heartbeat(id), {WATCH: house.service.watching.answer})
        house.service.apps.put("foo", {})
    return here, there


def test_what_changes_elsewhere(two: tuple[World, World]) -> None:
    here, there = two
    listener = Listener(here)
    listener.told()
    with there.store.writing() as tx:
        tx.save_branch(replace(tx.branch("b2"), numc=9))
    assert listener.told() == []
    there.service.queues.put("foo", "theirs", {})
    assert listener.told() == [Change("queue", "foo", "theirs")]
    assert listener.told() == []


def test_a_branch_that_comes_and_goes(two: tuple[World, World]) -> None:
    here, _ = two
    listener = Listener(here)
    listener.told()
    here.fleet.branches["b2"].stop()
    assert listener.told() == [Change("branch", "", "b2")]
    here.fleet.is_down = True
    assert listener.told() == []


# Over HTTP


@pytest.fixture
def client(running: World) -> Iterator[FlaskClient]:
    with create_app(Settings(branch="b1"), running.service).test_client() as client:
        yield client


def events(answer: Any) -> list[dict[str, str]]:
    lines = answer.get_data(as_text=True).splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def test_a_stream(client: FlaskClient, running: World) -> None:
    at_s = running.clock.elapsed + 20
    later(running, lambda: running.service.queues.put("foo", "others", {}), at_s)
    begun_at = running.clock.elapsed
    answer = client.get("/api/events/")
    assert (answer.status_code, answer.mimetype) == (200, "text/event-stream")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert [(each["kind"], each["name"]) for each in events(answer)] == [
        ("all", ""),
        ("queue", "others"),
    ]
    text = answer.get_data(as_text=True)
    assert text.startswith("retry: 1000\n\n")
    assert text.count("\n: ") >= 2
    assert 60 <= running.clock.elapsed - begun_at < 61
    *_, last = (line for line in text.splitlines() if line.startswith("id: "))
    put(running, "w2")
    again = client.get("/api/events/", headers={"Last-Event-ID": last.removeprefix("id: ")})
    assert {each["name"] for each in events(again)} == {"w2"}


def test_a_stream_ends_with_the_process(client: FlaskClient, running: World) -> None:
    later(running, running.service.stop, running.clock.elapsed + 5)
    begun_at = running.clock.elapsed
    client.get("/api/events/").get_data()
    assert running.clock.elapsed - begun_at < 6
    assert client.get("/api/events/").status_code == 503


def test_streams_leave_threads_to_others(running: World) -> None:
    with create_app(Settings(branch="b1"), running.service).test_client() as client:
        opened = [client.get("/api/events/", buffered=False) for _ in range(12)]
        refused = client.get("/api/events/")
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        # Nobody listens to what HEAD is answered.
        assert client.head("/api/events/").status_code == 200
        with running.service.waits.slot() as is_free:
            assert is_free
        for each in opened:
            each.close()
        again = client.get("/api/events/", buffered=False)
        assert again.status_code == 200
        again.close()


def test_a_status_that_goes_is_told(running: World) -> None:
    listener = Listener(running)
    with running.store.writing() as tx:
        tx.save_statuses([Status("w1", 1)])
        tx.remove_instance("w1")
    assert W1 in listener.told()
