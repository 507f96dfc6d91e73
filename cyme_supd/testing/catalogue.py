"""The catalogue's part of the store in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from cyme_supd.domain import contents
from cyme_supd.domain.catalogue import Entry, Numbering, Version, key_of, names_in
from cyme_supd.domain.merging import Noted
from cyme_supd.domain.spec import App, Instance, Queue
from cyme_supd.testing.stored import stored


@dataclass
class Versions:
    """By key: the version, and when it was deleted; and the highest number that was seen."""

    known: dict[str, Noted] = field(default_factory=dict)
    highest: int = 0

    def copy(self) -> Versions:
        return Versions(dict(self.known), self.highest)

    def index(self) -> dict[str, Version]:
        return {key: version for key, (version, _) in self.known.items()}

    def forget(self, before: datetime) -> int:
        old = [key for key, (_, at) in self.known.items() if at is not None and at < before]
        for key in old:
            del self.known[key]
        return len(old)


class Edits:
    """What one transaction changes of the catalogue."""

    def __init__(
        self,
        versions: Versions,
        branch: str,
        now: Callable[[], datetime],
        stamp: Version | None,
    ) -> None:
        self._versions = versions
        self._numbering = Numbering(branch, versions.highest, stamp)
        self.now = now

    def stored(self, thing: App | Queue) -> None:
        """*thing* was added or edited; where that made no difference its version stays."""
        key, digest = key_of(thing), contents.digest_of(thing)
        version, deleted_at = self._versions.known.get(key, (None, None))
        if version is None or deleted_at is not None or version.digest != digest:
            self.note({key: (self._numbering.next(key, version, digest), None)})

    def removed(self, keys: Collection[str]) -> None:
        known, now = self._versions.index(), self.now()
        self.note({key: (self._numbering.next(key, known.get(key), ""), now) for key in keys})

    def see(self, number: int) -> None:
        self._numbering.see(number)
        self._versions.highest = self._numbering.highest

    def own_version(self) -> Version:
        own = self._numbering.own()
        self._versions.highest = self._numbering.highest
        return own

    def note(self, noted: Mapping[str, Noted]) -> None:
        self._versions.known.update(noted)
        self._versions.highest = self._numbering.highest


class Rows(Protocol):
    """What is stored, in memory."""

    apps: dict[str, App]
    queues: dict[tuple[str, str], Queue]
    instances: dict[str, Instance]
    catalogue: Versions


def entries(rows: Rows, keys: Collection[str]) -> list[Entry]:
    found = []
    for key in sorted(set(keys) & rows.catalogue.known.keys()):
        version, deleted_at = rows.catalogue.known[key]
        app, queue = names_in(key)
        content: App | Queue | None = None
        if deleted_at is None:
            its_app = replace(rows.apps[app], is_deleting=False)
            content = rows.queues[app, queue] if queue else its_app
        found.append(Entry(key, version, content, deleted_at))
    return found


class MemoryCopy:
    """See :class:`~cyme_supd.domain.merging.OwnCopy`."""

    def __init__(
        self,
        rows: Rows,
        edits: Edits,
        drop_app: Callable[[str], None],
        drop_queue: Callable[[str, str], None],
    ) -> None:
        self._rows = rows
        self._edits = edits
        self.see = edits.see
        self.own_version = edits.own_version
        self.note = edits.note
        self.drop_app = drop_app
        self.drop_queue = drop_queue

    def versions(self, keys: Collection[str]) -> Mapping[str, Version]:
        index = self._rows.catalogue.index()
        return {key: index[key] for key in keys if key in index}

    def app_or_none(self, name: str) -> App | None:
        return self._rows.apps.get(name)

    def queue_or_none(self, app: str, name: str) -> Queue | None:
        return self._rows.queues.get((app, name))

    def queue_names(self, app: str) -> list[str]:
        return sorted(name for of, name in self._rows.queues if of == app)

    def instances(self, app: str) -> list[Instance]:
        found = (each for each in self._rows.instances.values() if each.app == app)
        return sorted(found, key=lambda each: each.name)

    def put_app(self, app: App) -> None:
        self._rows.apps[app.name] = stored(app)

    def put_queue(self, queue: Queue) -> None:
        self._rows.queues[queue.app, queue.name] = stored(queue)

    def touch(self, names: Collection[str]) -> None:
        for name in names:
            known = self._rows.instances[name]
            self._rows.instances[name] = replace(known, generation=known.generation + 1)
