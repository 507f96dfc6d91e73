"""The catalogue, as rows: a version of every app and queue, and of those that are gone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, tuple_, update

from cyme_supd.domain import contents
from cyme_supd.domain.catalogue import (
    Entry,
    Numbering,
    Version,
    app_key,
    digest_of,
    key_of,
    names_in,
    queue_key,
)
from cyme_supd.domain.merging import Noted
from cyme_supd.domain.spec import App, Queue
from cyme_supd.store import apps, queues
from cyme_supd.store import models as m

#: Keys in one query; each is two parameters.
BATCH = 400

_ID = 1


def index(connection: Connection) -> dict[str, Version]:
    return {_key(row): _version(row) for row in connection.execute(select(m.entry))}


def versions(connection: Connection, keys: Collection[str]) -> dict[str, Version]:
    return {_key(row): _version(row) for row in _rows(connection, keys)}


def entries(connection: Connection, keys: Collection[str]) -> list[Entry]:
    """Those that are there, in the order of their keys."""
    rows = sorted(_rows(connection, keys), key=_key)
    found: dict[str, App | Queue] = {}
    live = [row for row in rows if row.deleted_at is None]
    for batch in _batches(live):
        theirs = apps.named(connection, [row.app for row in batch if not row.queue])
        # Whether it is being deleted each branch decides for its own instances.
        found.update((app_key(app.name), replace(app, is_deleting=False)) for app in theirs)
        pairs = [(row.app, row.queue) for row in batch if row.queue]
        found.update((key_of(queue), queue) for queue in queues.named(connection, pairs))
    return [Entry(_key(row), _version(row), found.get(_key(row)), row.deleted_at) for row in rows]


def next_version(connection: Connection, branch: str) -> Version:
    """What the next change on *branch* gets, if none comes before it."""
    return Version(_state(connection)[0] + 1, branch)


def forget(connection: Connection, before: datetime) -> int:
    """Forget deletions that were made before then; how many comes back."""
    gone = connection.execute(delete(m.entry).where(m.entry.c.deleted_at < before)).rowcount
    if gone:
        highest, changes = _state(connection)
        _save_state(connection, highest, changes + 1)
    return gone


class Digests:
    """The last digest of a database's catalogue, by how often that had changed by then.

    Whoever beats asks every two seconds, of thousands of entries. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: tuple[int, str] | None = None

    def digest(self, connection: Connection) -> str:
        """Only of what is committed: another may come of the same count."""
        changes = _state(connection)[1]
        with self._lock:
            known = self._known
        if known is not None and known[0] == changes:
            return known[1]
        digest = digest_of(index(connection))
        with self._lock:
            self._known = changes, digest
        return digest


class Edits:
    """What one transaction changes of the catalogue."""

    def __init__(
        self,
        connection: Connection,
        branch: str,
        now: Callable[[], datetime],
        stamp: Version | None,
    ) -> None:
        self._connection = connection
        self._branch = branch
        self._stamp = stamp
        self._numbering: Numbering | None = None
        self._changes = 0
        self._saved: tuple[int, int] | None = None
        self.now = now

    def stored(self, thing: App | Queue) -> None:
        """*thing* was added or edited; where that made no difference its version stays."""
        key, digest = key_of(thing), contents.digest_of(thing)
        row = next(_rows(self._connection, [key]), None)
        if row is None or row.deleted_at is not None or row.digest != digest:
            stored = None if row is None else _version(row)
            self.note({key: (self._begun().next(key, stored, digest), None)})

    def removed(self, keys: Collection[str]) -> None:
        stored, now = versions(self._connection, keys), self.now()
        self.note({key: (self._begun().next(key, stored.get(key), ""), now) for key in keys})

    def see(self, number: int) -> None:
        self._begun().see(number)
        self._save()

    def own_version(self) -> Version:
        own = self._begun().own()
        self._save()
        return own

    def note(self, noted: Mapping[str, Noted]) -> None:
        """Have these versions, and when what is deleted was."""
        for batch in _batches(list(noted)):
            rows = [_values(key, *noted[key]) for key in batch]
            self._connection.execute(delete(m.entry).where(_is_one_of(batch)))
            self._connection.execute(insert(m.entry), rows)
        self._begun()
        self._save()

    def _begun(self) -> Numbering:
        if self._numbering is None:
            highest, changes = _state(self._connection)
            self._numbering = Numbering(self._branch, highest, self._stamp)
            self._changes = changes + 1
        return self._numbering

    def _save(self) -> None:
        state = self._begun().highest, self._changes
        if state != self._saved:
            _save_state(self._connection, *state)
            self._saved = state


def _state(connection: Connection) -> tuple[int, int]:
    """The highest number that was seen, and how often entries have changed."""
    row = connection.execute(select(m.catalogue).where(m.catalogue.c.id == _ID)).first()
    if row is not None:
        return row.highest, row.changes
    return connection.scalar(select(func.max(m.entry.c.number))) or 0, 0


def _save_state(connection: Connection, highest: int, changes: int) -> None:
    values = {"highest": highest, "changes": changes}
    is_it = m.catalogue.c.id == _ID
    known = connection.execute(update(m.catalogue).where(is_it).values(values))
    if known.rowcount == 0:
        connection.execute(insert(m.catalogue).values(id=_ID, **values))


def _rows(connection: Connection, keys: Collection[str]) -> Iterator[Row[Any]]:
    for batch in _batches(list(keys)):
        yield from connection.execute(select(m.entry).where(_is_one_of(batch)))


def _is_one_of(keys: Collection[str]) -> ColumnElement[bool]:
    return tuple_(m.entry.c.app, m.entry.c.queue).in_([names_in(key) for key in keys])


def _batches(things: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(things), BATCH):
        yield things[start : start + BATCH]


def _values(key: str, version: Version, deleted_at: datetime | None) -> dict[str, Any]:
    app, queue = names_in(key)
    return {
        "app": app,
        "queue": queue,
        "number": version.number,
        "origin": version.origin,
        "digest": version.digest,
        "deleted_at": deleted_at,
    }


def _key(row: Row[Any]) -> str:
    return queue_key(row.app, row.queue) if row.queue else app_key(row.app)


def _version(row: Row[Any]) -> Version:
    return Version(row.number, row.origin, row.digest)
