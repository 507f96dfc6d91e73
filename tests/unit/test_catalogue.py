"""Entries of the catalogue: which of two stands, and what may come from another branch."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from cyme_supd.domain.catalogue import (
    Entry,
    Numbering,
    Version,
    app_key,
    digest_of,
    key_of,
    names_in,
    newer,
    queue_key,
)
from cyme_supd.domain.contents import as_json
from cyme_supd.domain.pause import Pause
from cyme_supd.domain.rollout import Rollout
from cyme_supd.domain.spec import App, Queue
from cyme_supd.errors import Invalid
from cyme_supd.store.engine import sqlite_url
from cyme_supd.store.migrations import migrate
from cyme_supd.store.repository import SqlStore
from tests.contract.store.values import AT, DEFAULT, app, queue

PAUSE = Pause("deploy", AT, AT + timedelta(days=1))
WHOLE = app(
    broker="amqp://guest:p%40ss@rabbit:5672//",
    arguments=("--max-tasks-per-child", "10"),
    extra_config={"task_acks_late": True, "nested": {"a": [1, 2.5, None, "ü"]}},
    celery_app="proj.celery:app",
    directory="/srv/proj",
    environment={"KEY": "va'l\"ue; %"},
    user="nobody",
    command="/srv/venv/bin/celery",
    result_backend="redis://:secret@127.0.0.1/1",
    pool="threads",
    stop_timeout_s=0,
    hung_timeout_s=5,
    pause=PAUSE,
    rollout=Rollout(3, 2, AT, True, 4),
    is_tracked=True,
)
QUEUE = queue(
    "a/b ü",
    exchange="x",
    exchange_type="topic",
    routing_key="k.#",
    options={"max_length": 7, "queue_arguments": {"x-mode": "lazy"}},
    pause=Pause("", AT),
)


def entry(thing: App | Queue, number: int = 1, origin: str = "b1") -> Entry:
    return Entry(key_of(thing), Version(number, origin, "aa"), thing)


def crossed(found: Entry) -> Entry:
    return Entry.from_wire(json.loads(json.dumps(found.to_wire())))


@pytest.mark.parametrize("thing", [app(), WHOLE, queue(), QUEUE], ids=key_of)
def test_an_entry_crosses_whole(thing: App | Queue) -> None:
    assert crossed(entry(thing)) == entry(thing)


def test_every_field_of_an_app_is_tried() -> None:
    assert all(getattr(WHOLE, name) for name in App.__slots__ if name not in _MAY_BE_FALSE)
    assert set(as_json(WHOLE)) == set(App.__slots__) - {"name", "is_deleting"}
    assert set(as_json(QUEUE)) == set(Queue.__slots__) - {"name", "app"}


_MAY_BE_FALSE = ("is_deleting", "stop_timeout_s")


def test_whether_it_is_being_deleted_stays_here() -> None:
    assert crossed(entry(app(is_deleting=True))) == entry(app())


def test_a_tombstone_crosses() -> None:
    found = Entry(app_key("foo"), Version(7, ""), None, AT)
    assert crossed(found) == found
    assert crossed(replace(found, version=Version(7, "", "aa"))) == found


def test_what_a_newer_branch_adds_is_left_out() -> None:
    wire: dict[str, Any] = entry(WHOLE).to_wire()
    wire["more"] = 1
    wire["content"].update(wings=2)
    wire["content"]["pause"].update(by="me")
    wire["content"]["rollout"].update(by="me")
    assert Entry.from_wire(wire) == entry(WHOLE)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key", None),
        ("key", "app"),
        ("key", "app/a b"),
        ("key", "app/ping"),
        ("key", "queue/foo"),
        ("key", "queue/foo/"),
        ("key", "queue/foo/dq.w1"),
        ("key", "jobs/foo"),
        ("version", None),
        ("version", [1, "b1"]),
        ("version", [0, "b1", ""]),
        ("version", [True, "b1", ""]),
        ("version", [2**53, "b1", ""]),
        ("version", [1.5, "b1", ""]),
        ("version", [1, "b 1", ""]),
        ("version", [1, None, ""]),
        ("version", [1, "b1", "nope"]),
        ("version", [1, "b1", None]),
        ("content", []),
        ("content", "x"),
        ("content", {}),
        ("content", None),
    ],
)
def test_what_is_no_entry(field: str, value: object) -> None:
    with pytest.raises(Invalid):
        Entry.from_wire({**entry(app()).to_wire(), field: value})


@pytest.mark.parametrize("value", [None, [], "x", 1])
def test_what_is_not_even_an_object(value: object) -> None:
    with pytest.raises(Invalid):
        Entry.from_wire(value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("created_at", "yesterday"),
        ("created_at", "2011-08-15T22:06:43"),
        ("created_at", 5),
        ("broker", "http://a/"),
        ("broker", ["redis://a/"]),
        ("arguments", "-O fair"),
        ("arguments", ["-c", "9"]),
        ("arguments", [5]),
        ("extra_config", {"broker_url": "redis://a/"}),
        ("extra_config", [1]),
        ("environment", {"CYME_ID": "b1"}),
        ("environment", {"KEY": 1}),
        ("celery_app", "../x"),
        ("directory", "relative"),
        ("command", {"a": 1}),
        ("result_backend", ["a", "b"]),
        ("result_backend", "a\nb"),
        ("user", "a b"),
        ("pool", "nope"),
        ("pool", ["solo"]),
        ("stop_timeout_s", -1),
        ("stop_timeout_s", "5"),
        ("hung_timeout_s", 2.5),
        ("pause", "x"),
        ("pause", {"reason": "", "since": None, "until": None}),
        ("pause", {"reason": 5, "since": AT.isoformat(), "until": None}),
        ("pause", {"reason": "x" * 501, "since": AT.isoformat(), "until": None}),
        ("rollout", {"number": 1}),
        ("rollout", [1]),
        ("rollout", {**Rollout(1, 1, AT).as_dict(), "number": "1"}),
        ("rollout", {**Rollout(1, 1, AT).as_dict(), "attempt": 0}),
        ("rollout", {**Rollout(1, 1, AT).as_dict(), "is_aborted": None}),
    ],
)
def test_what_no_app_can_have(field: str, value: object) -> None:
    wire = entry(WHOLE).to_wire()
    wire["content"][field] = value
    with pytest.raises(Invalid):
        Entry.from_wire(wire)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("exchange", "x" * 129),
        ("exchange", 5),
        ("exchange_type", "headers"),
        ("routing_key", "a\nb"),
        ("options", {"nope": 1}),
        ("options", {"max_length": 0}),
        ("options", "max_length=1"),
        ("created_at", None),
    ],
)
def test_what_no_queue_can_have(field: str, value: object) -> None:
    wire = entry(QUEUE).to_wire()
    wire["content"][field] = value
    with pytest.raises(Invalid):
        Entry.from_wire(wire)


def test_which_of_two_stands() -> None:
    in_order = [
        Version(1, "", "aa"),
        Version(1, "b1"),
        Version(1, "b1", "aa"),
        Version(1, "b1", "bb"),
        Version(1, "b2"),
        Version(2, "a9"),
        Version(10, "a1"),
    ]
    assert sorted(in_order[::-1]) == in_order
    one, other = entry(app(), 9, "b2"), entry(app(pool="solo"), 10, "b1")
    assert newer(one, other) is newer(other, one) is other
    assert newer(one, one) is one


def test_keys() -> None:
    things: list[App | Queue] = [
        queue("a/b", "a"),
        app("zoo"),
        app("a-b"),
        queue("tasks", "a"),
        app("a"),
    ]
    keys = sorted(key_of(each) for each in things)
    assert [names_in(key) for key in keys] == [
        ("a", ""),
        ("a-b", ""),
        ("zoo", ""),
        ("a", "a/b"),
        ("a", "tasks"),
    ]
    assert [Entry(key, Version(1, ""), None).kind for key in keys[2:4]] == ["app", "queue"]


def test_digests_of_an_index() -> None:
    index = {app_key("foo"): Version(1, "b1", "aa"), queue_key("foo", "x"): Version(2, "b1")}
    assert digest_of(index) == digest_of(dict(reversed(index.items())))
    others = [
        {},
        {app_key("foo"): Version(1, "b1", "aa")},
        {**index, app_key("foo"): Version(1, "b1", "ab")},
        {**index, app_key("foo"): Version(1, "b2", "aa")},
        {**index, app_key("foo"): Version(2, "b1", "aa")},
    ]
    assert len({digest_of(each) for each in [index, *others]}) == 6


def test_own_versions_are_above_all_that_was_seen() -> None:
    numbering = Numbering("b1", 5)
    assert [numbering.own(), numbering.own()] == [Version(6, "b1")] * 2
    numbering.see(3)
    assert numbering.own() == Version(6, "b1")
    numbering.see(6)
    assert numbering.own() == Version(7, "b1")
    numbering.see(20)
    assert numbering.next("app/foo", Version(9, "b2"), "aa") == Version(21, "b1", "aa")
    assert numbering.highest == 21


def test_a_digest_that_is_asked_for_again_costs_one_row(tmp_path: Path) -> None:
    store = SqlStore(sqlite_url(tmp_path / "branch.db"), DEFAULT, branch="b1")
    migrate(store.engine)
    with store.writing() as tx:
        tx.add_app(app())
    asked: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    found = set()
    for _ in range(3):
        with store.reading() as view:
            found.add(view.catalogue_digest())
    assert len(found) == 1
    assert len([query for query in asked if "entry" in query]) == 1
    store.close()
