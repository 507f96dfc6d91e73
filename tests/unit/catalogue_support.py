"""A fleet in one process: branches with a catalogue each, and a mailbox that hands JSON over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cyme_supd.domain.catalogue import Entry, Version, key_of
from cyme_supd.domain.contents import digest_of
from cyme_supd.domain.ports import Store
from cyme_supd.domain.spec import App, Queue
from cyme_supd.errors import CymeError, Timeout
from cyme_supd.service.catalogue import Catalogue, Pushed
from cyme_supd.service.following import Following
from cyme_supd.testing.clock import FakeClock
from cyme_supd.testing.store import MemoryStore
from tests.contract.store.values import DEFAULT


class Hints:
    def __init__(self) -> None:
        self.count = 0

    def send(self) -> None:
        self.count += 1


@dataclass
class Gathered:
    answers: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, CymeError] = field(default_factory=dict)
    silent: tuple[str, ...] = ()


class Branch:
    def __init__(self, id: str, fleet: Fleet, store: Store) -> None:
        self.id, self.fleet, self.store = id, fleet, store
        self.hints = Hints()
        self.catalogue = Catalogue(store, self.hints, fleet.clock)
        self.following = Following(self.catalogue, self.ask, fleet.clock, lambda: None)
        self.asked: list[tuple[str, str]] = []

    def ask(self, branch: str, command: str, arguments: Mapping[str, Any], timeout_s: float) -> Any:
        self.asked.append((branch, command))
        return self.fleet.put(branch, command, arguments, timeout_s)

    def scatter(self, command: str, arguments: Mapping[str, Any], timeout_s: float) -> Gathered:
        gathered = Gathered()
        for other in self.fleet.others(self):
            try:
                answer = self.fleet.put(other.id, command, arguments, timeout_s)
                gathered.answers[other.id] = answer
            except Timeout:
                gathered.silent += (other.id,)
            except CymeError as exc:
                gathered.errors[other.id] = exc
        return gathered

    def push(self, *keys: str) -> Pushed:
        return self.catalogue.push(keys, self.scatter)

    def catch_up(self) -> list[tuple[str, str]]:
        """One round; what was asked, and of whom, comes back."""
        self.asked = []
        others = self.fleet.others(self)
        self.following.catch_up({each.id: each.catalogue.digest() for each in others})
        return self.asked


class Fleet:
    """Branches, and a mailbox that hands messages over as JSON."""

    def __init__(self, *ids: str) -> None:
        self.clock = FakeClock()
        self.branches: dict[str, Branch] = {}
        self.broken: dict[str, CymeError] = {}
        for id in ids:
            self.add(id, MemoryStore(DEFAULT, id))

    def add(self, id: str, store: Store) -> Branch:
        self.branches[id] = made = Branch(id, self, store)
        return made

    def __getitem__(self, id: str) -> Branch:
        return self.branches[id]

    def others(self, branch: Branch) -> list[Branch]:
        return [each for each in self.branches.values() if each is not branch]

    def put(self, branch: str, command: str, arguments: Mapping[str, Any], left_s: float) -> Any:
        assert left_s > 0
        if branch in self.broken:
            self.clock.advance(left_s)
            raise self.broken[branch]
        handler = self.branches[branch].catalogue.handlers()[command]
        return json.loads(json.dumps(handler(json.loads(json.dumps(arguments)), left_s)))

    def settle(self) -> None:
        for _ in range(3):
            for branch in self.branches.values():
                branch.catch_up()


def stored(branch: Branch, app: str = "foo") -> App:
    with branch.store.reading() as view:
        return view.app(app)


def names(branch: Branch, app: str = "foo") -> list[str]:
    with branch.store.reading() as view:
        return view.queue_names(app)


def edit(branch: Branch, thing: App | Queue) -> None:
    with branch.store.writing() as tx:
        if isinstance(thing, App):
            tx.save_app(thing)
        else:
            tx.save_queue(thing)


def wire(thing: App | Queue, number: int = 9) -> dict[str, Any]:
    return Entry(key_of(thing), Version(number, "b9", digest_of(thing)), thing).to_wire()
