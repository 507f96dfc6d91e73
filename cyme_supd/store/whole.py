"""All there is of a kind."""

from __future__ import annotations

from sqlalchemy import Connection

from cyme_supd.domain.changes import Trace
from cyme_supd.domain.spec import App, Instance, Queue
from cyme_supd.domain.status import Branch, Status
from cyme_supd.store import apps, branches, instances, queues, statuses


class SqlWhole:
    _connection: Connection

    def apps(self) -> list[App]:
        return apps.everyone(self._connection)

    def queues(self) -> list[Queue]:
        return queues.everyone(self._connection)

    def instances(self, app: str | None = None, branch: str | None = None) -> list[Instance]:
        return instances.matching(self._connection, instances.is_of(app, branch))

    def statuses(self, branch: str | None = None) -> dict[str, Status]:
        return statuses.of_branch(self._connection, branch)

    def traces(self, branch: str | None = None) -> dict[str, Trace]:
        return statuses.traces(self._connection, branch)

    def branches(self) -> list[Branch]:
        return branches.everyone(self._connection)
