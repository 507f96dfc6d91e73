"""Branches that were edited apart, in whatever order, have one catalogue once they exchange."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cyme_supd.domain.catalogue import Entry, Version, names_in
from cyme_supd.domain.merging import Merged
from cyme_supd.domain.ports import Transaction, View
from cyme_supd.domain.spec import App, Queue
from cyme_supd.errors import Conflict, NotFound
from cyme_supd.testing.store import MemoryStore
from tests.contract.store.values import DEFAULT, app, instance, queue

BRANCHES = ("b1", "b2", "b3")
APPS = ("bar", "foo")
QUEUES = ("mail", "tasks")
POOLS = ("solo", "threads", None)


@dataclass(frozen=True)
class Step:
    """*verb* on an app or queue of one branch; or what one asks another for, and how much comes."""

    verb: str
    branch: str
    app: str
    queue: str
    value: str | None
    other: str
    kept: int


EDITS = (
    "put app",
    "remove app",
    "force app",
    "finish app",
    "put queue",
    "remove queue",
    "run",
    "end",
)
STEPS = st.builds(
    Step,
    st.sampled_from([*EDITS, "put app", "put queue", "run", "stamped", *["exchange"] * 4]),
    *(st.sampled_from(each) for each in (BRANCHES, APPS, QUEUES, POOLS, BRANCHES)),
    # A bit for each entry: which of them are not lost.
    st.integers(0, 2**8 - 1),
)

Fleet = dict[str, MemoryStore]


def put(tx: Transaction, thing: App | Queue) -> None:
    try:
        if isinstance(thing, App):
            stored = tx.app(thing.name)
            tx.save_app(replace(stored, pool=thing.pool))
            tx.touch_instances(thing.name)
        else:
            tx.queue(thing.app, thing.name)
            tx.save_queue(thing)
    except NotFound:
        tx.add_app(thing) if isinstance(thing, App) else tx.add_queue(thing)


def dying(tx: Transaction, name: str) -> None:
    left = tx.instances(name)
    for one in left:
        tx.save_instance(replace(one, is_deleting=True))
    if left:
        tx.save_app(replace(tx.app(name), is_deleting=True))
    else:
        tx.remove_app(name)


def ended(tx: Transaction, names: Sequence[str]) -> None:
    for name in names:
        tx.remove_instance(name)


def edit(tx: Transaction, step: Step) -> None:
    name = f"w-{step.branch}-{step.app}"
    if step.verb == "put app":
        put(tx, app(step.app, pool=step.value))
    elif step.verb == "remove app":
        tx.remove_app(step.app)
    elif step.verb == "force app":
        dying(tx, step.app)
    elif step.verb == "finish app":
        ended(tx, [one.name for one in tx.instances(step.app) if one.is_deleting])
    elif step.verb == "put queue":
        put(tx, queue(step.queue, step.app, exchange=str(step.value)))
    elif step.verb == "remove queue":
        tx.remove_queue(step.app, step.queue)
    elif step.verb == "run" and not tx.app(step.app).is_deleting:
        tx.add_instance(
            instance(name, step.app, branch=step.branch, queues=tx.queue_names(step.app))
        )
    elif step.verb == "end":
        tx.remove_instance(name)


def attempt(store: MemoryStore, step: Step, stamp: Version | None = None) -> None:
    try:
        with store.writing(stamp) as tx:
            edit(tx, step)
    except (Conflict, NotFound):
        pass


def play(fleet: Fleet, step: Step) -> None:
    if step.verb == "exchange":
        exchange(fleet[step.other], fleet[step.branch], step.kept)
    elif step.verb == "stamped":
        with fleet[step.branch].reading() as view:
            stamp = view.next_version()
        change = replace(step, verb=EDITS[step.kept % len(EDITS)])
        attempt(fleet[step.branch], change, stamp)
        attempt(fleet[step.other], change, stamp)
    else:
        attempt(fleet[step.branch], step)


def exchange(source: MemoryStore, target: MemoryStore, kept: int | None = None) -> Merged:
    """What is newer at *source*; with *kept*, only some of it arrives."""
    with target.reading() as view:
        known = view.catalogue_index()
    with source.reading() as view:
        index = view.catalogue_index()
        news = [key for key, version in index.items() if key not in known or known[key] < version]
        entries = sent(view, news)
    if kept is not None:
        entries = [each for at, each in enumerate(reversed(entries)) if kept >> at & 1]
    with target.writing() as tx:
        return tx.merge(entries)


def sent(view: View, keys: Sequence[str]) -> list[Entry]:
    return [Entry.from_wire(each.to_wire()) for each in view.entries(keys)]


def running(store: MemoryStore) -> dict[str, Any]:
    with store.reading() as view:
        found = [one for name in APPS for one in view.instances(name)]
        return {one.name: one.app for one in found if not one.is_deleting}


def settle(fleet: Fleet) -> None:
    """The last of those that are being deleted ends, and everybody hears of everything."""
    for _ in range(6):
        for store in fleet.values():
            for name in APPS:
                attempt(store, Step("finish app", "", name, "", None, "", 0))
        for source in fleet.values():
            for target in fleet.values():
                exchange(source, target)


@settings(max_examples=100)
@given(st.lists(STEPS, min_size=25, max_size=60))
def test_whatever_was_done_and_lost(steps: list[Step]) -> None:
    fleet = {name: MemoryStore(DEFAULT, name) for name in BRANCHES}
    for step in steps:
        before = {name: running(store) for name, store in fleet.items()}
        play(fleet, step)
        if step.verb == "exchange":
            assert {name: running(store) for name, store in fleet.items()} == before
    settle(fleet)
    found = []
    for store in fleet.values():
        with store.reading() as view:
            index = view.catalogue_index()
            contents = {each.key: each.content for each in view.entries(list(index))}
            found.append((index, contents, view.catalogue_digest()))
            live = {key for key, content in contents.items() if content is not None}
            assert live == {key for key in index if is_there(view, *names_in(key))}
    assert found[0] == found[1] == found[2]
    for source in fleet.values():
        for target in fleet.values():
            assert exchange(source, target) == Merged()


def is_there(view: View, app: str, queue: str) -> bool:
    try:
        return bool(view.queue(app, queue) if queue else view.app(app))
    except NotFound:
        return False
