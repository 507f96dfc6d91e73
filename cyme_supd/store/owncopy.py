"""The branch's copy of the catalogue, as entries of other branches are merged into it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Connection

from cyme_supd.domain.catalogue import Version
from cyme_supd.domain.merging import Noted
from cyme_supd.domain.spec import App, Instance, Queue
from cyme_supd.store import apps, catalogue, instances, queues


class SqlCopy:
    """See :class:`~cyme_supd.domain.merging.OwnCopy`."""

    def __init__(self, connection: Connection, edits: catalogue.Edits) -> None:
        self._connection = connection
        self._edits = edits

    def versions(self, keys: Collection[str]) -> Mapping[str, Version]:
        return catalogue.versions(self._connection, keys)

    def see(self, number: int) -> None:
        self._edits.see(number)

    def own_version(self) -> Version:
        return self._edits.own_version()

    def app_or_none(self, name: str) -> App | None:
        return next(iter(apps.named(self._connection, [name])), None)

    def queue_or_none(self, app: str, name: str) -> Queue | None:
        return next(iter(queues.named(self._connection, [(app, name)])), None)

    def queue_names(self, app: str) -> list[str]:
        return queues.names(self._connection, app, "", None)

    def instances(self, app: str) -> list[Instance]:
        return instances.matching(self._connection, instances.is_of_app(app))

    def put_app(self, app: App) -> None:
        apps.put(self._connection, app)

    def put_queue(self, queue: Queue) -> None:
        queues.put(self._connection, queue)

    def drop_app(self, name: str) -> None:
        apps.remove(self._connection, name)

    def drop_queue(self, app: str, name: str) -> None:
        queues.remove(self._connection, app, name)

    def note(self, versions: Mapping[str, Noted]) -> None:
        self._edits.note(versions)

    def touch(self, names: Collection[str]) -> None:
        instances.touch_named(self._connection, list(names))
