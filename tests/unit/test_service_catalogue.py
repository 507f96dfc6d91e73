"""The catalogue between branches: pushed, followed, and what comes of bad entries."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cyme_supd.branch.exchange import keep_up
from cyme_supd.domain.catalogue import Version, app_key, key_of, queue_key
from cyme_supd.domain.pause import Pause
from cyme_supd.domain.rollout import Rollout
from cyme_supd.domain.spec import App, Instance, Queue
from cyme_supd.errors import NotFound, Timeout, Unavailable
from cyme_supd.service import catalogue as module
from cyme_supd.service.catalogue import ENTRIES, INDEX, Catalogue, Pushed
from cyme_supd.service.following import ROUND_S, Following
from cyme_supd.store.engine import sqlite_url
from cyme_supd.store.migrations import migrate
from cyme_supd.store.repository import SqlStore
from cyme_supd.testing.clock import FakeClock
from cyme_supd.testing.store import MemoryStore
from tests.contract.store.values import AT, DEFAULT, app, fill, instance, queue
from tests.support import eventually
from tests.unit.catalogue_support import Fleet, Gathered, Hints, edit, names, stored, wire

FOO = app_key("foo")
TASKS = queue_key("foo", "tasks")


@pytest.fixture
def fleet() -> Fleet:
    return Fleet("b1", "b2", "b3")


# Pushing


def test_a_change_is_everywhere_at_once(fleet: Fleet) -> None:
    fill(fleet["b1"].store, app(pool="solo"), queue())
    # Of a queue that is pushed its app comes along.
    assert fleet["b1"].push(TASKS) == Pushed({"b2": (), "b3": ()})
    assert stored(fleet["b3"]) == app(pool="solo")
    assert len({each.catalogue.digest() for each in fleet.branches.values()}) == 1
    assert all(each.catch_up() == [] for each in fleet.branches.values())


def test_a_deletion_too(fleet: Fleet) -> None:
    fill(fleet["b1"].store, app(), queue())
    fleet["b1"].push(TASKS)
    with fleet["b2"].store.writing() as tx:
        tx.remove_app("foo")
    fleet["b2"].push(FOO)
    with pytest.raises(NotFound):
        stored(fleet["b1"])
    assert len({each.catalogue.digest() for each in fleet.branches.values()}) == 1


@pytest.mark.parametrize(
    ("change", "restarting"),
    [
        (app(pool="solo"), {"b2": ("w1", "w2"), "b3": ()}),
        (app(stop_timeout_s=5), {"b2": (), "b3": ()}),
        (app(pause=Pause("", AT)), {"b2": (), "b3": ()}),
        (app(rollout=Rollout(1, 1, AT)), {"b2": (), "b3": ()}),
        (queue(exchange="x"), {"b2": ("w2",), "b3": ()}),
        (queue(pause=Pause("", AT)), {"b2": (), "b3": ()}),
    ],
)
def test_who_restarts_is_told(
    change: App | Queue, restarting: dict[str, tuple[str, ...]], fleet: Fleet
) -> None:
    fill(fleet["b1"].store, app(), queue(), queue("mail"))
    fleet["b1"].push(TASKS, queue_key("foo", "mail"))
    theirs: list[Instance] = [
        instance("w1"),
        instance("w2", queues=("mail", "tasks")),
        instance("w3", queues=("tasks",), is_enabled=False),
        instance("w4", queues=("tasks",), is_deleting=True),
    ]
    fill(fleet["b2"].store, *theirs)
    edit(fleet["b1"], change)
    assert fleet["b1"].push(key_of(change)).restarting == restarting
    assert (fleet["b2"].hints.count, fleet["b3"].hints.count) == (1, 0)


def test_who_does_not_answer_is_told(fleet: Fleet) -> None:
    fleet.broken = {"b2": Timeout("no answer"), "b3": Unavailable("its database is locked")}
    fill(fleet["b1"].store, app())
    pushed = fleet["b1"].push(FOO)
    assert (pushed.restarting, pushed.silent) == ({}, ("b2",))
    assert pushed.errors == {"b3": fleet.broken["b3"]}
    fleet.broken = {}
    fleet["b2"].catch_up()
    assert stored(fleet["b2"]) == app()


def test_in_parts(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART", 2)
    fill(fleet["b1"].store, app(), *(queue(name) for name in "abcde"), app("bar"))
    asked: list[int] = []

    def scatter(command: str, arguments: Mapping[str, Any], timeout_s: float) -> Gathered:
        asked.append(len(arguments["entries"]))
        return Gathered({"b2": {"restarting": ["w1", f"w{len(asked)}"]}, "b3": None}, {}, ("b4",))

    pushed = fleet["b1"].catalogue.push(fleet["b1"].catalogue.index(), scatter)
    assert asked == [2, 2, 2, 1]
    assert pushed == Pushed({"b2": ("w1", "w2", "w3", "w4"), "b3": ()}, {}, ("b4",))


# Entries that cannot be


def test_a_bad_entry_harms_no_other(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    branch = fleet["b1"]
    bad = {**wire(app("bar")), "content": {"pool": "nope", "created_at": AT.isoformat()}}
    lost = wire(queue(app="bar"))
    for _ in range(2):
        taken = branch.catalogue.take([bad, wire(queue()), 5, lost, wire(app())])
        assert taken.refused == ("app/bar", "")
    assert names(branch) == ["tasks"]
    assert set(branch.catalogue.index()) == {FOO, TASKS}
    told = [record.message for record in caplog.records if "app/bar" in record.message]
    assert len(told) == 1
    assert "'nope' is not a pool" in told[0]


def test_one_that_cannot_be_stored_harms_no_other(
    fleet: Fleet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    on_disk = SqlStore(sqlite_url(tmp_path / "branch.db"), DEFAULT, branch="b4")
    migrate(on_disk.engine)
    bad = wire(queue(options={"consumer_arguments": {"x": float("nan")}}))
    for branch in (fleet["b1"], fleet.add("b4", on_disk)):
        taken = branch.catalogue.take([bad, wire(queue("mail")), wire(app())])
        assert taken.refused == (TASKS,)
        assert names(branch) == ["mail"]
        assert branch.catalogue.is_refused(TASKS, Version.from_wire(bad["version"]))
    on_disk.close()


def test_what_was_refused_is_not_asked_for_again(fleet: Fleet) -> None:
    b1, b2 = fleet["b1"], fleet["b2"]
    # By what is valid where it comes from.
    fill(b2.store, app("ping"), app())
    assert b1.catch_up().count(("b2", ENTRIES)) == 1
    assert set(b1.catalogue.index()) == {FOO}
    fill(b2.store, app("bar"))
    assert b1.catch_up().count(("b2", ENTRIES)) == 1
    edit(b2, app("ping", pool="solo"))
    assert b1.catch_up() == [("b2", INDEX), ("b2", ENTRIES)]


def test_an_app_that_is_deleted_elsewhere_comes_back(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    fill(fleet["b1"].store, app(), queue())
    fleet["b1"].push(TASKS)
    fill(fleet["b2"].store, instance(queues=("tasks",)))
    with fleet["b1"].store.writing() as tx:
        tx.remove_app("foo")
    fleet["b1"].push(FOO)
    fleet.settle()
    assert [names(each) for each in fleet.branches.values()] == [["tasks"]] * 3
    with fleet["b2"].store.reading() as view:
        assert view.instance("w1") == instance(queues=("tasks",))
    (told,) = (record for record in caplog.records if "was deleted elsewhere" in record.message)
    assert told.levelno == logging.WARNING


# Following


def test_one_that_joins_later_has_everything(fleet: Fleet) -> None:
    fill(fleet["b1"].store, app("bar"), app(), *(queue(f"q{number}") for number in range(1200)))
    asked = fleet["b2"].catch_up()
    assert asked == [("b1", INDEX), *[("b1", ENTRIES)] * 3]
    assert fleet["b2"].catalogue.index() == fleet["b1"].catalogue.index()
    # b1 and b2 say the same: one of them is enough.
    assert {branch for branch, _ in fleet["b3"].catch_up()} == {"b1"}
    fleet.settle()
    assert all(each.catch_up() == [] for each in fleet.branches.values())


def test_large_entries_come_in_small_parts(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_SIZE", 1000)
    fill(fleet["b1"].store, *(app(name, directory="/" + "x" * 600) for name in "abcde"))
    assert fleet["b2"].catch_up() == [("b1", INDEX), *[("b1", ENTRIES)] * 3]
    assert fleet["b2"].catalogue.index() == fleet["b1"].catalogue.index()


def test_who_is_behind_is_asked_once(fleet: Fleet) -> None:
    fill(fleet["b1"].store, app())
    fleet["b2"].catch_up()
    fill(fleet["b1"].store, app("bar"))
    assert fleet["b1"].catch_up() == [("b2", INDEX)]
    assert fleet["b1"].catch_up() == []
    fill(fleet["b1"].store, app("baz"))
    assert fleet["b1"].catch_up() == []
    fill(fleet["b2"].store, app("zoo"))
    assert fleet["b1"].catch_up() == [("b2", INDEX), ("b2", ENTRIES)]


def test_one_that_cannot_be_asked_keeps_nobody_waiting(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    fleet.broken = {"b1": Timeout("no answer")}
    fill(fleet["b1"].store, app("bar"))
    fill(fleet["b2"].store, app())
    assert fleet["b3"].catch_up() == [("b1", INDEX), ("b2", INDEX), ("b2", ENTRIES)]
    fill(fleet["b2"].store, app("zoo"))
    assert [branch for branch, _ in fleet["b3"].catch_up()] == ["b2", "b2", "b1"]
    assert len([each for each in caplog.records if "b1 does not tell" in each.message]) == 1
    fleet.broken = {}
    fleet["b3"].catch_up()
    assert set(fleet["b3"].catalogue.index()) == {app_key("bar"), FOO, app_key("zoo")}


def test_a_round_has_an_end() -> None:
    ids = [f"b{number:02}" for number in range(20)]
    fleet = Fleet("a", *ids)
    fleet.broken = dict.fromkeys(ids, Timeout("no answer"))
    before = fleet.clock.monotonic()
    for id in ids:
        fill(fleet[id].store, app(id))
    assert 1 < len(fleet["a"].catch_up()) < 20
    assert fleet.clock.monotonic() - before <= ROUND_S
    # Those whose last try is the longest ago come first.
    tried = [branch for _ in range(10) for branch, _ in fleet["a"].catch_up()]
    assert set(tried[:20]) == set(tried[20:40]) == set(ids)


@pytest.mark.parametrize(
    ("index", "entries"),
    [
        ([], {}),
        ({FOO: [1, "b2", "aa"]}, []),
        ({FOO: [1, "b2", "aa"]}, {"entries": [], "left": [FOO]}),
    ],
)
def test_answers_that_are_none(index: object, entries: object) -> None:
    clock, told = FakeClock(), {INDEX: index, ENTRIES: entries}
    catalogue = Catalogue(MemoryStore(DEFAULT, "b1"), Hints(), clock)
    following = Following(catalogue, lambda _, command, *rest: told[command], clock, lambda: None)
    following.catch_up({"b2": "x"})
    assert catalogue.index() == {}
    told.update(
        {INDEX: {FOO: wire(app())["version"], "app/x": 5}, ENTRIES: {"entries": [wire(app())]}}
    )
    following.catch_up({"b2": "x", "b3": ""})
    assert set(catalogue.index()) == {FOO}


def test_an_index_can_be_newer_than_its_heartbeat(fleet: Fleet) -> None:
    fill(fleet["b1"].store, app())
    early = {"b1": fleet["b1"].catalogue.digest()}
    fill(fleet["b1"].store, app("bar"))
    b2 = fleet["b2"]
    b2.following.catch_up(early)
    b2.following.catch_up(early)
    assert b2.asked == [("b1", INDEX), ("b1", ENTRIES)]
    assert b2.catch_up() == []
    assert set(b2.catalogue.index()) == {FOO, app_key("bar")}


def test_edits_on_both_sides_of_a_partition(fleet: Fleet, tmp_path: Path) -> None:
    on_disk = SqlStore(sqlite_url(tmp_path / "branch.db"), DEFAULT, branch="b4")
    migrate(on_disk.engine)
    fleet.add("b4", on_disk)
    fill(fleet["b1"].store, app(), queue())
    fleet.settle()
    edit(fleet["b1"], app(pool="solo"))
    edit(fleet["b4"], app(pool="threads"))
    edit(fleet["b4"], queue(exchange="x"))
    with fleet["b2"].store.writing() as tx:
        tx.remove_queue("foo", "tasks")
    fill(fleet["b3"].store, queue("mail"))
    fleet.settle()
    assert {stored(each).pool for each in fleet.branches.values()} == {"threads"}
    assert [names(each) for each in fleet.branches.values()] == [["mail", "tasks"]] * 4
    assert len({each.catalogue.digest() for each in fleet.branches.values()}) == 1
    on_disk.close()


# The thread


@pytest.fixture
def threads() -> Iterator[Callable[..., threading.Event]]:
    stop, started = threading.Event(), []

    def start(*args: Any) -> threading.Event:
        thread = threading.Thread(target=keep_up, args=(*args[:2], stop, *args[2:]))
        thread.start()
        started.append(thread)
        return stop

    yield start
    stop.set()
    for thread in started:
        thread.join()


def test_the_thread_goes_on_whatever_fails(
    fleet: Fleet, threads: Callable[..., threading.Event], caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore(DEFAULT, "b4")
    branch, beats = fleet.add("b4", store), []
    store.failure = Unavailable("the database is locked")
    fill(fleet["b1"].store, app())

    def peers() -> dict[str, str]:
        return {"b1": fleet["b1"].catalogue.digest()}

    threads(branch.following, peers, lambda: beats.append(1), 0.01)
    eventually(lambda: len(beats) > 5)
    store.failure = None
    assert eventually(lambda: FOO in branch.catalogue.index())
    assert len([each for each in caplog.records if "does not follow" in each.message]) == 1
