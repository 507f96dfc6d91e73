"""What comes of entries from another branch, in the copy here. Pure.

Every branch decides alike, whatever comes first and how often; so copies that
were exchanged are the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from cyme_supd.domain.catalogue import Entry, Version, app_key, is_forgotten, names_in, queue_key
from cyme_supd.domain.spec import App, Instance, Queue

#: A version; and for a tombstone when it was deleted.
Noted = tuple[Version, datetime | None]


@dataclass(frozen=True, slots=True)
class Merged:
    """What changed here.

    ``instances`` got a new generation; ``kept`` are apps that were deleted
    elsewhere and have instances here: they stay, in a newer version. What
    was ``skipped`` are queues of apps that are not here.
    """

    apps: tuple[str, ...] = ()
    queues: tuple[tuple[str, str], ...] = ()
    instances: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


class OwnCopy(Protocol):
    """A branch's copy of the catalogue, within a transaction.

    Nothing here changes a version or a generation but where it says so.
    """

    def versions(self, keys: Collection[str]) -> Mapping[str, Version]:
        """Of those that are there, tombstones too."""

    def see(self, number: int) -> None: ...

    def own_version(self) -> Version:
        """A newer one than any that was seen."""

    def app_or_none(self, name: str) -> App | None: ...
    def queue_or_none(self, app: str, name: str) -> Queue | None: ...
    def queue_names(self, app: str) -> list[str]: ...
    def instances(self, app: str) -> list[Instance]: ...

    def put_app(self, app: App) -> None:
        """As it is, ``created_at`` too; added where it is not there."""

    def put_queue(self, queue: Queue) -> None: ...

    def drop_app(self, name: str) -> None:
        """With its queues; it has no instances."""

    def drop_queue(self, app: str, name: str) -> None:
        """Also from the instances that consume from it, which get their next generation."""

    def note(self, versions: Mapping[str, Noted]) -> None:
        """The versions of what is stored, and of tombstones."""

    def touch(self, names: Collection[str]) -> None:
        """Give these instances their next generation."""


def merge(copy: OwnCopy, entries: Iterable[Entry], now: datetime) -> Merged:
    """Take what is newer than the copy has."""
    # Apps before queues, which is the order of their keys: no queue is
    # without its app only because that comes later.
    found = sorted(entries, key=lambda each: each.key)
    stored = copy.versions([each.key for each in found])
    news = [each for each in found if _is_news(each, stored.get(each.key), now)]
    if not news:
        return Merged()
    copy.see(max(each.version.number for each in news))
    return _Merging(copy, stored, now).merged(news)


def _is_news(entry: Entry, stored: Version | None, now: datetime) -> bool:
    if stored is None:
        # Of what nobody here knows, a deletion that others forget as well.
        return not is_forgotten(entry.deleted_at, now)
    return entry.version > stored


class _Merging:
    """One merge; what was looked up for one entry serves the others of its app."""

    def __init__(self, copy: OwnCopy, stored: Mapping[str, Version], now: datetime) -> None:
        self._copy = copy
        self._now = now
        self._stored = stored
        self._noted: dict[str, Noted] = {}
        self._known_apps: dict[str, App | None] = {}
        self._known_instances: dict[str, list[Instance]] = {}
        self._apps: list[str] = []
        self._queues: list[tuple[str, str]] = []
        self._touched: set[str] = set()
        self._kept: list[str] = []
        self._skipped: list[str] = []

    def merged(self, news: Iterable[Entry]) -> Merged:
        for entry in news:
            version, _ = self._noted.get(entry.key, (None, None))
            # Otherwise an app before it has decided about its queues.
            if version is None or version < entry.version:
                self._take(entry)
        self._copy.note(self._noted)
        return Merged(
            tuple(self._apps),
            tuple(self._queues),
            tuple(sorted(self._touched)),
            tuple(self._kept),
            tuple(self._skipped),
        )

    def _take(self, entry: Entry) -> None:
        app, queue = names_in(entry.key)
        if isinstance(entry.content, App):
            self._put_app(entry, entry.content)
        elif isinstance(entry.content, Queue):
            self._put_queue(entry, entry.content)
        elif queue:
            self._bury_queue(entry, app, queue)
        else:
            self._bury_app(entry, app)

    # Apps

    def _put_app(self, entry: Entry, app: App) -> None:
        before = self._app(app.name)
        # One that is being deleted here was made, or edited, after that.
        self._store_app(replace(app, is_deleting=False))
        self._noted[entry.key] = entry.version, None
        if before is None or before != replace(app, created_at=before.created_at):
            self._apps.append(app.name)
            self._touch([one.name for one in self._instances(app.name)])

    def _bury_app(self, entry: Entry, name: str) -> None:
        app = self._app(name)
        left = self._instances(name)
        if app is None:
            self._note_gone(entry.key, entry.version, entry.deleted_at)
        elif any(not one.is_deleting for one in left):
            self._keep_app(name)
        elif left:
            # Once the last is gone the app goes, under a version that is newer still.
            self._store_app(replace(app, is_deleting=True))
        else:
            self._remove_app(entry, name)

    def _keep_app(self, name: str) -> None:
        """Nothing that runs is lost: whoever deleted it gets it back, with its queues."""
        own = self._copy.own_version()
        keys = [app_key(name), *self._queue_keys(name)]
        for key, stored in self._versions(keys).items():
            self._noted[key] = replace(own, digest=stored.digest), None
        self._kept.append(name)

    def _remove_app(self, entry: Entry, name: str) -> None:
        queues = self._queue_keys(name)
        stored = self._versions(queues)
        self._copy.drop_app(name)
        self._known_apps[name] = None
        for key in queues:
            self._note_gone(key, self._above(stored.get(key), entry.version), entry.deleted_at)
        self._note_gone(entry.key, entry.version, entry.deleted_at)
        self._apps.append(name)

    def _store_app(self, app: App) -> None:
        self._copy.put_app(app)
        self._known_apps[app.name] = app

    # Queues

    def _put_queue(self, entry: Entry, queue: Queue) -> None:
        if self._app(queue.app) is None:
            # It comes with its app, or its branch hears that the app is gone.
            self._skipped.append(entry.key)
            return
        before = self._queue(entry.key, queue.app, queue.name)
        self._copy.put_queue(queue)
        self._noted[entry.key] = entry.version, None
        if before is None or before != replace(queue, created_at=before.created_at):
            self._queues.append((queue.app, queue.name))
            self._touch(self._consumers(queue.app, queue.name))

    def _bury_queue(self, entry: Entry, app: str, name: str) -> None:
        if self._queue(entry.key, app, name) is not None:
            self._touched.update(self._consumers(app, name))
            self._copy.drop_queue(app, name)
            self._queues.append((app, name))
        self._note_gone(entry.key, entry.version, entry.deleted_at)

    # Both

    def _above(self, stored: Version | None, wanted: Version) -> Version:
        """*wanted*, which the others have as well, if that is above *stored*."""
        if stored is None or wanted.stamp > stored.stamp:
            return replace(wanted, digest="")
        return self._copy.own_version()

    def _note_gone(self, key: str, version: Version, deleted_at: datetime | None) -> None:
        # By a clock that is ahead, it would be remembered for ever; by one that
        # is far behind, forgotten before the others have heard of it.
        at = self._now if deleted_at is None else min(deleted_at, self._now)
        self._noted[key] = version, self._now if is_forgotten(at, self._now) else at

    def _touch(self, names: Sequence[str]) -> None:
        if names:
            self._copy.touch(names)
            self._touched.update(names)

    # Looking up

    def _app(self, name: str) -> App | None:
        if name not in self._known_apps:
            self._known_apps[name] = self._copy.app_or_none(name)
        return self._known_apps[name]

    def _queue(self, key: str, app: str, name: str) -> Queue | None:
        # What never had a version was never here.
        return self._copy.queue_or_none(app, name) if key in self._stored else None

    def _queue_keys(self, app: str) -> list[str]:
        return [queue_key(app, name) for name in self._copy.queue_names(app)]

    def _instances(self, app: str) -> list[Instance]:
        if app not in self._known_instances:
            self._known_instances[app] = self._copy.instances(app)
        return self._known_instances[app]

    def _consumers(self, app: str, queue: str) -> list[str]:
        return [one.name for one in self._instances(app) if queue in one.queues]

    def _versions(self, keys: Collection[str]) -> dict[str, Version]:
        noted = {key: self._noted[key][0] for key in keys if key in self._noted}
        return {**self._copy.versions(keys), **noted}
