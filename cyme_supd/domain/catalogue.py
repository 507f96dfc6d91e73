"""The catalogue: applications and queues, as every branch of a fleet has them. Pure.

Branches with a store each keep a whole copy. An *entry* is an application or
a queue in one version; of two the higher version stands, wherever they meet.
A deletion is an entry without content, a *tombstone*, so that a branch that
was away does not bring back what is gone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cyme_supd.domain.contents import app_from, as_json, instant_from, queue_from
from cyme_supd.domain.declaration import check_own_queue_name
from cyme_supd.domain.naming import check_app_name, check_name
from cyme_supd.domain.spec import App, Queue
from cyme_supd.errors import Invalid

#: How long a deletion is remembered: a branch that was away for longer brings
#: back what it still has.
KEEP = timedelta(days=7)
#: What every JSON reader gives back as it was.
MAX_NUMBER = 2**53 - 1

_DIGEST = re.compile(r"[0-9a-f]{0,64}", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Of two, the greater stands.

    ``number`` is a Lamport clock, one more than the highest ever seen where
    the change was made; ``origin`` that branch, empty for what is older than
    the catalogue; ``digest`` is of the content, empty for a tombstone, and
    decides where a change was executed on several branches under one stamp.
    """

    number: int
    origin: str
    digest: str = ""

    @property
    def stamp(self) -> tuple[int, str]:
        """Which change it is of, whatever came of that."""
        return self.number, self.origin

    def to_wire(self) -> list[Any]:
        return [self.number, self.origin, self.digest]

    @classmethod
    def from_wire(cls, value: object) -> Version:
        """Raises ``Invalid`` for what is none."""
        if not isinstance(value, list) or len(value) != 3:
            raise Invalid("a version is a list of number, origin and digest")
        number, origin, digest = value
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MAX_NUMBER:
            raise Invalid("a version's number is not a whole number from 1 on")
        if origin != "":
            check_name("branch", origin)
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise Invalid("a version's digest is not one")
        return cls(number, origin, digest)


@dataclass(frozen=True, slots=True)
class Entry:
    """``content`` is ``None`` for a tombstone, which has ``deleted_at``."""

    key: str
    version: Version
    content: App | Queue | None
    deleted_at: datetime | None = None

    @property
    def kind(self) -> str:
        """``app`` or ``queue``."""
        return self.key.partition("/")[0]

    def to_wire(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "version": self.version.to_wire(),
            "content": None if self.content is None else as_json(self.content),
            "deleted_at": self.deleted_at.astimezone(UTC).isoformat() if self.deleted_at else None,
        }

    @classmethod
    def from_wire(cls, value: object) -> Entry:
        """Raises ``Invalid`` for what cannot be one; fields that are unknown here are left out."""
        if not isinstance(value, Mapping):
            raise Invalid("an entry is an object")
        key, version = _checked_key(value.get("key")), Version.from_wire(value.get("version"))
        content = value.get("content")
        if content is None:
            deleted_at = instant_from(value.get("deleted_at"))
            return cls(key, replace(version, digest=""), None, deleted_at)
        if not isinstance(content, Mapping):
            raise Invalid("an entry's content is an object")
        app, queue = names_in(key)
        found = queue_from(app, queue, content) if queue else app_from(app, content)
        return cls(key, version, found)


def app_key(name: str) -> str:
    return f"app/{name}"


def queue_key(app: str, name: str) -> str:
    return f"queue/{app}/{name}"


def key_of(thing: App | Queue) -> str:
    """Keys in their order have every app before every queue."""
    return app_key(thing.name) if isinstance(thing, App) else queue_key(thing.app, thing.name)


def names_in(key: str) -> tuple[str, str]:
    """App and queue; the second is empty where the key is an app's. ``Invalid`` where neither."""
    kind, _, rest = key.partition("/")
    if kind == "app":
        return rest, ""
    if kind == "queue" and "/" in rest:
        app, _, queue = rest.partition("/")
        return app, queue
    raise Invalid("a key is app/<name> or queue/<app>/<name>")


def _checked_key(key: object) -> str:
    if not isinstance(key, str):
        raise Invalid("a key is text")
    app, queue = names_in(key)
    check_app_name(app)
    return queue_key(app, check_own_queue_name(queue)) if key.startswith("queue") else app_key(app)


def newer(one: Entry, other: Entry) -> Entry:
    """Which of two entries of one key stands."""
    return other if other.version > one.version else one


def digest_of(index: Mapping[str, Version]) -> str:
    """The same on two branches where they have the same entries in the same versions."""
    digest = hashlib.sha256()
    for key in sorted(index):
        version = index[key]
        told = f"{key}\n{version.number}\n{version.origin}\n{version.digest}\n"
        digest.update(told.encode())
    return digest.hexdigest()


def is_forgotten(deleted_at: datetime | None, now: datetime) -> bool:
    """Whether a deletion is too long ago to be remembered."""
    return deleted_at is not None and deleted_at < now - KEEP


class Numbering:
    """Gives the changes of one transaction on *branch* their versions.

    ``highest`` is the highest number that the branch has ever seen. All
    changes of the transaction that need a version of their own share one.
    With a *stamp* they have that instead, unless what they change is newer:
    then the change was made to the newer content, and is newer still.
    """

    def __init__(self, branch: str, highest: int, stamp: Version | None = None) -> None:
        self.highest = highest
        self._branch = branch
        self._stamp = stamp
        self._own: Version | None = None
        self._made: dict[str, tuple[int, str]] = {}

    def see(self, number: int) -> None:
        """Own versions are above *number* from now on."""
        if number >= self.highest:
            self.highest = number
            self._own = None

    def own(self) -> Version:
        if self._own is None:
            self.highest += 1
            self._own = Version(self.highest, self._branch)
        return self._own

    def next(self, key: str, stored: Version | None, digest: str) -> Version:
        """For a change of what is *stored*, a tombstone too."""
        if stored is None or self._made.get(key) != stored.stamp:
            self._made[key] = self._fresh(stored).stamp
        return Version(*self._made[key], digest)

    def _fresh(self, stored: Version | None) -> Version:
        stamp = self._stamp
        if stamp is None or (stored is not None and stored.stamp >= stamp.stamp):
            return self.own()
        self.see(stamp.number)
        return stamp
