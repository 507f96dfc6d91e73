"""Use-cases of the catalogue: applications and queues from one branch to another.

What reaches the other branches is handed in, so nothing here knows how.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cyme_supd.clock import Clock
from cyme_supd.domain.catalogue import Entry, Version, app_key, names_in
from cyme_supd.domain.merging import Merged
from cyme_supd.domain.naming import listed
from cyme_supd.domain.ports import Hints, Store
from cyme_supd.errors import Conflict, CymeError, Invalid
from cyme_supd.service.replacing import Before

log = logging.getLogger("cyme_supd.catalogue")

INDEX = "catalogue.index"
ENTRIES = "catalogue.entries"
TAKE = "catalogue.take"

#: Entries in one message, and characters of JSON after which no other one is put into it.
PART = 500
PART_SIZE = 2**20
PUSH_S = 5.0
#: Refused versions that are remembered.
REMEMBERED = 1000

#: Answers a command: its arguments, and how many seconds are left.
Handler = Callable[[Mapping[str, Any], float], Any]


class Gathered(Protocol):
    """Answers and errors by branch, and who said nothing in time."""

    @property
    def answers(self) -> Mapping[str, Any]: ...
    @property
    def errors(self) -> Mapping[str, CymeError]: ...
    @property
    def silent(self) -> Sequence[str]: ...


#: Puts a command with its arguments to all live branches but this, and waits
#: that many seconds for their answers.
Scatter = Callable[[str, Mapping[str, Any], float], Gathered]


@dataclass(frozen=True, slots=True)
class Pushed:
    """``restarting`` names, by branch, the instances there that get a new process.

    Who is ``silent``, or answered with an error, takes it later by itself.
    """

    restarting: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    errors: Mapping[str, CymeError] = field(default_factory=dict)
    silent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """``refused`` are keys of entries that cannot be here."""

    restarting: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        return {"restarting": list(self.restarting), "refused": list(self.refused)}


class Catalogue:
    """Safe to share between threads if its ports are."""

    def __init__(self, store: Store, hints: Hints, clock: Clock) -> None:
        self._store = store
        self._hints = hints
        self._clock = clock
        self._refused: dict[str, Version] = {}

    def digest(self) -> str:
        """What tells this copy from others; cheap to ask for."""
        with self._store.reading() as view:
            return view.catalogue_digest()

    def index(self) -> dict[str, Version]:
        with self._store.reading() as view:
            return view.catalogue_index()

    def entries(self, keys: Iterable[str]) -> list[Entry]:
        with self._store.reading() as view:
            return view.entries(list(keys))

    def take(self, values: Iterable[object]) -> Taken:
        """Merge entries as they were sent; those that cannot be here harm no other."""
        entries: list[Entry] = []
        refused: list[str] = []
        for value in values:
            try:
                entries.append(Entry.from_wire(value))
            except Invalid as exc:
                refused.append(self._refuse(value, exc))
        before = Before()
        touched = {
            name for each in self._merge(entries, refused, before) for name in each.instances
        }
        if not touched:
            return Taken((), tuple(refused))
        self._hints.send()
        with self._store.reading() as view:
            return Taken(before.replaced(view.workers_named(touched)), tuple(refused))

    def is_refused(self, key: str, version: Version) -> bool:
        """Whether it would only be refused again."""
        return self._refused.get(key) == version

    def push(self, keys: Iterable[str], scatter: Scatter, timeout_s: float = PUSH_S) -> Pushed:
        """Send these entries to all at once, the apps of queues with them.

        Raises ``Unavailable`` where nobody can be reached. Nothing is lost by
        that: the others catch up.
        """
        deadline = self._clock.monotonic() + timeout_s
        wanted = {each for key in keys for each in (app_key(names_in(key)[0]), key)}
        pushed = Pushed()
        for part in _parts(self.entries(wanted)):
            left_s = max(0.1, deadline - self._clock.monotonic())
            pushed = _and(pushed, scatter(TAKE, {"entries": part}, left_s))
        return pushed

    def handlers(self) -> dict[str, Handler]:
        """What other branches ask, by the command that the mailbox is to have them under."""
        return {INDEX: self._answer_index, ENTRIES: self._answer_entries, TAKE: self._answer_take}

    def _answer_index(self, arguments: Mapping[str, Any], left_s: float) -> Any:
        return {key: version.to_wire() for key, version in self.index().items()}

    def _answer_entries(self, arguments: Mapping[str, Any], left_s: float) -> Any:
        """``left`` are those of the keys for which there was no room."""
        keys = sorted(texts(arguments.get("keys")))
        found = self.entries(keys[:PART])
        part = next(_parts(found), [])
        is_cut = len(part) < len(found)
        left = [key for key in keys if key > part[-1]["key"]] if is_cut else keys[PART:]
        return {"entries": part, "left": left}

    def _answer_take(self, arguments: Mapping[str, Any], left_s: float) -> Any:
        return self.take(objects(arguments.get("entries"))).to_wire()

    def _merge(
        self, entries: Sequence[Entry], refused: list[str], before: Before
    ) -> Iterator[Merged]:
        """All at once; or one by one where the store refuses what is in one of them."""
        if not entries:
            return
        try:
            yield self._merge_all(entries, before)
        except (Invalid, Conflict) as exc:
            if len(entries) == 1:
                refused.append(self._refuse(entries[0].to_wire(), exc))
                return
            for each in sorted(entries, key=lambda one: one.key):
                yield from self._merge([each], refused, before)

    def _merge_all(self, entries: Sequence[Entry], before: Before) -> Merged:
        with self._store.writing() as tx:
            before.see(tx, {names_in(each.key)[0] for each in entries})
            merged = tx.merge(entries)
        _tell(merged)
        return merged

    def _refuse(self, value: object, reason: CymeError) -> str:
        key = str(value.get("key") if isinstance(value, Mapping) else "")[:300]
        version = version_or_none(value.get("version") if isinstance(value, Mapping) else None)
        if version is None or not self.is_refused(key, version):
            log.warning("an entry of the catalogue is refused: %r: %s", key, reason)
        if version is not None:
            if len(self._refused) >= REMEMBERED:
                self._refused.clear()
            self._refused[key] = version
        return key


def version_or_none(value: object) -> Version | None:
    try:
        return Version.from_wire(value)
    except Invalid:
        return None


def objects(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def texts(value: object) -> list[str]:
    return [each for each in objects(value) if isinstance(each, str)]


def _tell(merged: Merged) -> None:
    for name in merged.kept:
        log.warning("app %s was deleted elsewhere; it has instances here and stays", name)
    names = [*merged.apps, *("/".join(each) for each in merged.queues)]
    if names:
        log.info("changed elsewhere: %s", listed(names))


def _parts(entries: Iterable[Entry]) -> Iterator[list[dict[str, Any]]]:
    """As they travel, in messages of a size that a broker does not mind."""
    part: list[dict[str, Any]] = []
    size = 0
    for entry in entries:
        if len(part) == PART or size > PART_SIZE:
            yield part
            part, size = [], 0
        part.append(entry.to_wire())
        size += len(json.dumps(part[-1]))
    if part:
        yield part


def _and(pushed: Pushed, gathered: Gathered) -> Pushed:
    restarting = dict(pushed.restarting)
    for branch, answer in gathered.answers.items():
        names = texts(answer.get("restarting") if isinstance(answer, Mapping) else None)
        restarting[branch] = tuple(dict.fromkeys((*restarting.get(branch, ()), *names)))
    return Pushed(
        restarting,
        {**pushed.errors, **gathered.errors},
        tuple(dict.fromkeys((*pushed.silent, *gathered.silent))),
    )
